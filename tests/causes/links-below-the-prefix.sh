# A link to a path below the prefix is followed on the host.
mkdir d
echo content > d/f
ln -s "$PWD/d" link
cat link/f
ls link/
(cd link && pwd -P)
rm link

# Program: GNU coreutils, with absolute links
# Package: coreutils
# Commands: ln readlink realpath
# Does: makes links to paths below the prefix, goes through them and reads them
mkdir d
echo content > d/f
ln -s "$PWD/d" link
cat link/f
realpath link/f
ls link/
readlink link
readlink -f link/f
stat -c %s link
cp -a link copied
cat copied/f
readlink copied
rm link copied

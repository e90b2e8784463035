# Program: GNU coreutils, with absolute links
# Package: coreutils
# Commands: ln readlink realpath
# Does: makes links to paths below the prefix, goes through them and reads them
# Differs in local: A link to a path below the prefix holds the host's own path, so that the host can follow it: readlink shows it without the prefix
# Differs in uml: A link to a path below the prefix holds the host's own path, so that the host can follow it: readlink shows it without the prefix
mkdir d
echo content > d/f
ln -s "$PWD/d" link
cat link/f
realpath link/f
ls link/
readlink link

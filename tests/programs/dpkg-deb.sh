# Program: dpkg-deb and dpkg
# Package: dpkg
# Commands: dpkg-deb dpkg dpkg-split dpkg-query
# Does: builds, lists, extracts, splits and joins a package of 150 files with scripts; installs into, verifies, upgrades and removes from a root on the prefix
# Long in uml: yes
mkdir -p pkg/DEBIAN pkg/usr/share/small pkg/etc
for i in $(seq 150); do echo $i > pkg/usr/share/small/$i; done
ln -s 1 pkg/usr/share/small/link
ln pkg/usr/share/small/2 pkg/usr/share/small/hard
echo conf > pkg/etc/small.conf
chmod 4755 pkg/usr/share/small/3
printf 'Package: small\nVersion: 1.0\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: small\n' > pkg/DEBIAN/control
echo /etc/small.conf > pkg/DEBIAN/conffiles
printf '#!/bin/sh\necho "postinst $1 $DPKG_ROOT" | cut -d/ -f1\n' > pkg/DEBIAN/postinst
chmod 755 pkg/DEBIAN/postinst
find pkg -exec touch -h -d '2001-02-03 04:05:06' {} +
export SOURCE_DATE_EPOCH=1000000000
dpkg-deb -b --root-owner-group pkg small.deb
dpkg-deb -I small.deb | grep -v size
dpkg-deb -c small.deb | tail -3
dpkg-deb -f small.deb Version
dpkg-deb -x small.deb out
diff -r --no-dereference -x DEBIAN pkg out && stat -c '%a %h %y' out/usr/share/small/{3,hard}
dpkg-deb -e small.deb ctl
ls ctl
dpkg-deb -R small.deb raw
ls raw
dpkg-deb --fsys-tarfile small.deb | tar t | wc -l
for z in gzip xz zstd none; do
    dpkg-deb -b -Z$z --root-owner-group pkg $z.deb > /dev/null
    dpkg-deb -c $z.deb | md5sum
done
ar t small.deb
dpkg-split -s -S 4 small.deb part > /dev/null 2>&1
dpkg-split -j part.*.deb -o joined.deb
cmp small.deb joined.deb
dpkg-deb -I none.deb
echo $?
head -c 500 small.deb > cut.deb
dpkg-deb -c cut.deb
echo $?
dpkg-deb -b none
echo $?
mkdir -p root/var/lib/dpkg/{info,updates,triggers} root/etc
touch root/var/lib/dpkg/{status,available}
d() { dpkg --root="$PWD/root" --force-not-root --force-script-chrootless --log=/dev/null "$@"; }
d -i small.deb
ls root/usr/share/small | wc -l
d -s small | grep -E '^(Package|Status|Version)'
d -L small | tail -2
d -S '*/small/7'
dpkg-query --root="$PWD/root" -W
d -V small
echo x > root/usr/share/small/9
d -V small
sed -i 's/1.0/2.0/' pkg/DEBIAN/control
rm pkg/usr/share/small/5?
echo new > pkg/usr/share/small/new
dpkg-deb -b --root-owner-group pkg two.deb > /dev/null
d -i two.deb
ls root/usr/share/small | wc -l
d -l small | tail -1 | cut -c1-20
d --audit
d -r small
find root/usr root/etc
d -P small
find root/etc
d -s small
d -i none.deb
echo $?

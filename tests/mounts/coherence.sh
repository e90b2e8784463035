# What is mounted stays mounted, whatever is done beside it, and programs without the library may mount.
exec 2>&1
mkdir d e; echo x > x
mount -t tmpfs none d; touch d/top
flock x true; ls d; chmod 700 d; mkdir -p e/1/2/3
for i in $(seq 200); do echo $i > n$i; rm n$i; done; ls d
umount d
echo == a program without the library
# It takes a moment until it is known.
soon() { for i in $(seq 500); do "$@" > /dev/null && return; sleep 0.01; done; echo "not: $*"; }
touch d/beneath
busybox mount -t tmpfs none d; soon test ! -e d/beneath; touch d/z; ls d; rmdir d
busybox umount d; soon test -e d/beneath; ls d; rm d/beneath; rmdir d; ls

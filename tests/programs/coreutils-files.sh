# Program: GNU coreutils: files
# Package: coreutils
# Commands: cp mv rm ln mkdir rmdir mkfifo mknod mktemp touch chmod chown chgrp stat ls dd truncate install shred sync readlink realpath du link unlink pathchk split csplit df tee
# Does: copies, moves, links, removes and lists trees of 400 files; modes, owners, times, sparse files, devices, special files; failures
# Long in uml: yes
mkdir -p from/{a,b,c}/{x,y} empty
for i in $(seq 100); do
    for d in a/x a/y b/x c/y; do echo "$d $i" > from/$d/f$i; done
done
cp -r from copy && diff -r from copy && echo copied
cp -a from archive && cp -al from links && stat -c '%h %n' links/a/x/f7
cp -rs "$PWD/from" soft && cat soft/b/x/f9
cp --parents from/a/x/f1 empty && ls -R empty
cp -u from/a/x/f1 copy/a/x/f1
cp -n from/a/x/f2 copy/a/x/f1
cat copy/a/x/f1
cp -b from/a/x/f3 copy/a/x/f1
cat copy/a/x/f1 copy/a/x/f1~
cp --backup=numbered from/a/x/f4 copy/a/x/f1
ls copy/a/x/f1*
cp -t empty from/a/x/f{5,6,7}
ls empty
cp --reflink=auto from/a/x/f5 reflinked
cmp reflinked from/a/x/f5
rm reflinked
cp -T from/a/x empty/x2
ls empty/x2 | wc -l
cp from/a/x/f1 from/a/x/f1
cp from nowhere/there
cp -r from from/inside
rm -rf from/inside
mv archive/a/x archive/moved
mv -n archive/b/x/f1 archive/b/x/f2
mv -v archive/b/x/f3 archive/b/x/f4
mv -t archive/moved archive/b/x/f{5,6}
mv archive/moved archive/c
ls archive archive/c
mv archive/c archive/c/moved
mv archive /tmp/archive-$$ && mv /tmp/archive-$$ back && ls back
touch -d '2001-02-03 04:05:06.789' old
touch -r old same
touch -m -d @1000000000 half
touch -a -d @900000000 half
touch -h -d '1999-01-01' soft/a/x/f1
touch -c absent
stat -c '%n %y' old same half soft/a/x/f1
stat -c '%X %Y %n' half
ls -l --time-style=full-iso old same | cut -d' ' -f6-
mkdir -m 2750 modes
mkdir -p -m 700 modes/in/deep
install -m 4711 old modes/suid
install -d -m 1777 modes/sticky
install -D -p -m 640 old modes/new/dir/file
install -C -v old modes/suid
install -b -m 600 old modes/suid
ls -l modes | cut -c1-10
chmod -R u+rwX,g-w,o= modes
chmod --reference=old modes/suid
chmod -c 755 modes/suid
chmod -v a-x modes/suid
chmod =7 modes/suid
chmod 000 modes/suid
stat -c '%A %a %n' modes modes/*
chmod u+s,g+s,+t modes/suid
stat -c %a modes/suid
chown daemon:daemon modes/suid && chown -h games soft/a/x/f2
chown -R bin:bin modes/new
chgrp -c mail modes/in
chown --from=bin sys modes/new/dir
stat -c '%U:%G %n' modes/* modes/new/* soft/a/x/f2
chown nobody none
ln old hard
ln -s none dangling
ln -sr from/a/x/f1 modes/relative
readlink modes/relative
ln -sfn from dirlink
ln -sfn copy dirlink
ln old hard
ln -f same hard
ln -L dirlink x
ln none y
link old third
unlink third
unlink from
unlink third
readlink -f dirlink/a/../a/x/f1
readlink -e dangling
readlink -m none/../other
realpath --relative-to=from copy/a
realpath -s dirlink
mkfifo -m 600 fifo
(echo through > fifo &)
cat fifo
mknod null c 1 3
mknod block b 7 0
stat -c '%F %t:%T %n' null block fifo
truncate -s 5M sparse
dd if=/dev/zero of=sparse bs=1k seek=2000 count=3 conv=notrunc status=none
stat -c '%s' sparse
[ "$(stat -c %b sparse)" -lt 100 ] && echo sparse
cp --sparse=always sparse dense
cmp sparse dense && echo same
truncate -s -1M dense
truncate -s %1000 dense
stat -c %s dense
cp --sparse=never dense full
du --apparent-size -b full
seq 50000 | dd of=blocks bs=7777 status=none
dd if=blocks of=part bs=100 skip=3 count=5 status=none
dd if=blocks of=part bs=64 seek=10 count=2 conv=notrunc,fsync status=none
dd if=blocks of=new bs=1k count=1 conv=excl status=none
dd if=blocks of=new bs=1k conv=excl
dd if=blocks of=direct bs=4096 iflag=fullblock oflag=append conv=notrunc status=none
cksum part blocks direct
dd if=none of=x
split -b 50000 -d blocks s-
split -l 9000 blocks l-
cat s-* | cmp - blocks
csplit -s -f c- blocks '/^100$/' '/^2000$/' '{1}'
wc -l l-* c-*
shred -n 1 -z -s 4096 part
od -A n -t x1 part | uniq | head -2
shred -u new
ls new
sync blocks
sync -d from
sync -f .
tee a b < old > c
echo more | tee -a a b | cat
seq 3 | tee sub/none
echo "status $?"
mktemp -p . t.XXXXXX | wc -c
d=$(mktemp -d d.XXXXXX)
stat -c %a "$d"
rmdir "$d"
rm -f t.??????
mktemp -p none 2>&1 | sed 's/\.[A-Za-z0-9]*/.R/'
rmdir -p --ignore-fail-on-non-empty empty/from/a/x
rmdir from
rmdir -v none
mkdir from
mkdir -v p q
mkdir a/b
rmdir -v p q
rm links
rm -r links
rm -d modes/sticky
rm none
rm -f none
rm -v dangling
rm -r soft
rm -rf from/a
rm -rv back/b/y | sort | tail -3
rm .
ls -F
ls -laR copy/a/y | awk 'NR % 17 == 0 {print $1, $2, $3, $5, $9}'
ls -S copy/a/x | tail -3
ls -td --time-style=+ old half
ls -1U copy | sort
ls none
ls -i old same | awk '{print ($1 > 0)}'
du -s --inodes copy
du -a --apparent-size -b copy/a/y | sort | head -5
df . | wc -l
df --output=file old none
pathchk "$(printf '%300s' x)"
test -e old
echo $?
[ old -nt half ]
echo $?
[ old -ef hard ]
echo $?
[ -p fifo ] && [ -c null ] && [ -b block ] && [ -L dirlink ] && [ -k modes/suid ] && [ -u modes/suid ] && echo tests
(
    cd copy/a && pwd && cd x && pwd -P && cd ../../../from && basename "$PWD"
    dirname "$PWD" | wc -l
)
chroot from /bin/true
echo $?
nice ls -d copy
env -C copy ls
timeout 5 cat old
stdbuf -o0 cat old
nohup ls -d copy 2> /dev/null

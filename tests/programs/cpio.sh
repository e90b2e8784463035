# Program: GNU cpio
# Package: cpio
# Commands: cpio
# Does: archives of four formats with 200 files, hard links, symbolic links, FIFOs and owners; extraction with times, pass-through, linking, appending
mkdir -p from/a/b from/many
for i in $(seq 200); do echo "$i" > from/many/$i; done
seq 20000 > from/a/plain
ln from/a/plain from/hard
ln -s a/plain from/soft
mkfifo from/a/b/fifo
chown daemon:daemon from/many/7
chmod 4750 from/many/7
find from -exec touch -h -d '2001-02-03 04:05:06' {} +
for format in newc crc odc ustar; do
    find from -depth | sort | cpio -o -H $format --quiet > $format
    cpio -t -H $format --quiet < $format | md5sum
    mkdir x-$format
    (cd x-$format && cpio -i -d -m --quiet -F ../$format)
    diff -r --no-dereference -x fifo from x-$format/from
    stat -c '%n %F %a %u:%g %h %s %Y' x-$format/from/{a/plain,hard,many/7,a/b/fifo}
    readlink x-$format/from/soft
done
cpio -itv --quiet < newc | tail -1 | cut -c1-10
find from -depth | cpio -p -d -m --quiet pass && diff -r --no-dereference -x fifo from pass/from
find from/many -depth | cpio -p -d -l --quiet links && stat -c %h links/from/many/9
cpio -i --to-stdout --quiet 'from/many/1?' < newc
mkdir only && cd only && cpio -i -d --quiet '*/many/19*' < ../newc && find . | sort && cd ..
cpio -i -d --quiet < newc 2>&1 | head -2
cpio -i -d -u --quiet < newc
ls from/many/300 2>&1
touch -d '2001-02-03' from/many/300 && echo from/many/300 | cpio -o -A -H newc -F newc --quiet && cpio -t --quiet < newc | tail -1
find from/many -print0 | cpio -0 -o --quiet --reproducible -H newc | cpio -t --quiet | wc -l
cpio -i --quiet < none
head -c 3000 odc | cpio -i --quiet -t | tail -2
echo "status $?"
# Inode numbers stand in these.
rm newc crc odc ustar

# Program: GNU tar
# Package: tar
# Commands: tar setfattr getfattr setfacl getfacl
# Does: archives a tree with links, sparse files, FIFOs, attributes, access control lists, owners and exact times; extracts, compares, appends, deletes, updates incrementally
mkdir -p from/a/b from/empty from/many
seq 20000 > from/a/plain
printf x > from/a/b/x
for i in $(seq 300); do echo "$i" > from/many/$i; done
ln from/a/plain from/hard
ln -s a/plain from/soft
ln -s ../absent/target from/broken
mkfifo from/fifo
truncate -s 32M from/sparse
printf middle | dd of=from/sparse bs=1 seek=16777216 conv=notrunc status=none
setfattr -n user.colour -v green from/a/plain
setfattr -n user.empty from/a
setfacl -m u:nobody:r,g:daemon:rw from/a/plain
setfacl -d -m u:daemon:rx from/a
chown daemon:daemon from/a/b/x
chmod 4750 from/a/b/x
find from -exec touch -h -d '2001-02-03 04:05:06.789' {} +
tar -c -S --xattrs --xattrs-include='*' --acls --format=posix --pax-option=delete=atime,delete=ctime -f all.tar --sort=name from
[ "$(stat -c %s all.tar)" -lt 2000000 ] && echo sparse
mkdir to
tar -x -S --xattrs --xattrs-include='*' --acls -p -f all.tar -C to
tar -d -f all.tar -C to
echo "compared $?"
diff -r --no-dereference -x fifo from to/from
for file in a a/plain a/b/x; do
    getfattr -hd -m user "to/from/$file"
    getfacl -p "to/from/$file" | tail -n +2
done
stat -c '%n %F %a %u:%g %h %s %y' to/from/{a/plain,a/b/x,hard,fifo,sparse,soft,broken,many,a}
[ "$(stat -c %b to/from/sparse)" -lt 256 ] && echo still sparse
tar -tvf all.tar | wc -l
for format in v7 ustar gnu oldgnu posix; do
    tar -c --format=$format --mtime=@0 --owner=0 --group=0 --sort=name -f - from/many from/a 2> /dev/null | tar -t | md5sum
done
tar -czf c.tgz -C from many && tar -xzf c.tgz many/7 && cat many/7
tar -cJf c.txz from/many && tar -tJf c.txz | wc -l
tar -c --zstd -f c.tzst from/many && tar -xf c.tzst -O from/many/9
tar -rf all.tar many && tar -uf all.tar many && tar -tf all.tar | tail -1
tar -cf plain.tar from/a many && tar --delete -f plain.tar many from/a/b && tar -tf plain.tar | sort
tar -cf - from/many | (mkdir piped && cd piped && tar -xf - --strip-components=1) && ls piped/many | wc -l
tar -xf all.tar --to-command='wc -c' from/a/plain
tar -xkf all.tar from/soft 2>&1
tar -xf all.tar --overwrite --unlink-first from/soft && readlink from/soft
tar -xf all.tar --transform 's,^from,renamed,' from/a && find renamed | sort
tar -cf inc0.tar -g state from/many && touch from/many/301 && rm from/many/1 && tar -cf inc1.tar -g state from/many && tar -tf inc1.tar
mkdir restore && tar -xf inc0.tar -g /dev/null -C restore && tar -xf inc1.tar -g /dev/null -C restore && ls restore/from/many | wc -l
tar -cf multi.tar -M -L 100 -f multi2.tar -f multi3.tar from/a/plain && tar -xf multi.tar -f multi2.tar -f multi3.tar -M -C restore && cmp from/a/plain restore/from/a/plain
tar -cf exclude.tar --exclude='*1*' -X <(echo '*2*') from/many && tar -tf exclude.tar | wc -l
tar -cf removed.tar --remove-files many piped && ls -d many piped
tar -xf none.tar
tar -xf all.tar nothing
tar -cf none/x from
tar -cf self.tar . 2>&1 | sort -u
# Times and inode numbers of this very run stand in these.
rm -f c.* inc?.tar state self.tar plain.tar multi*.tar exclude.tar removed.tar all.tar

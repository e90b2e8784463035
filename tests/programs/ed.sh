# Program: GNU ed
# Package: ed
# Commands: ed
# Does: scripts that edit, read, write, append and filter 30 files, diff -e patches, unsaved buffers, missing and unwritable files
awk 'BEGIN {for (i = 1; i <= 30; i++) {f = "f" i; for (n = i; n <= i + 50; n++) print n > f; close(f)}}'
for i in $(seq $((30 / SCALE))); do
    printf 'g/5/s//five/g\n1d\nw\nq\n' | ed -s f$i
done
cat f* | md5sum
printf '$r f1\n1,3w part\n4W part\n2,5p\n/9/;+1p\n?3?p\n1m$\n1,2j\n1t0\nw new\nf\nQ\n' | ed f2
cat part
wc -l new
printf 'r !cat f3 | head -2\n1!sort -rn\nw !wc -l > count\n!cat count\nQ\n' | ed -s
cat count
printf 'a\none\ntwo\n.\nw made\nq\n' | ed -s made2
cat made
printf 'a\nx\n.\nq\nq\n' | ed -s f4
echo $?
printf 'e none\nw none/x\nr .\nQ\n' | ed
echo $?
diff -e f5 f6 > script
echo w >> script
ed -s f5 < script
cmp f5 f6
chmod 444 f7
printf '1d\nw\nq\n' | ed -s f7
stat -c %a f7
ln f8 hard
ln -s f8 soft
printf '1d\nw\nq\n' | ed -s soft
stat -c '%h %F' f8 soft
seq 20000 > big
printf 'g/7/d\n%%s/1/one/g\nw\nq\n' | ed big
wc -l big
printf 'H\nbad\n1,99p\nq\n' | ed f9
printf '1d\nu\nu\nw\nq\n' | ed -s f10
head -1 f10
printf 'g/1/v/2/d\nQ' | ed -s f11
printf ',n\nq\n' | ed -s f12 | tail -1
red -s f13 <<< $'!echo x\nw /tmp/x\nw red\nq'
ls red

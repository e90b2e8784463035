# Program: GNU coreutils: text
# Package: coreutils
# Commands: cat tac sort uniq comm join paste cut tr head tail wc nl fold fmt pr expand unexpand od base64 md5sum sha256sum b2sum cksum sum shuf tsort ptx factor numfmt seq dircolors
# Does: 30 filters over files of 60,000 lines, in and out of host files; sort with temporary files on the prefix, checksums verified
seq 60000 > n
seq 5 3 60000 > m
tac n > r
sort r > sorted
sort -n r -o r
cmp n r && echo sorted in place
sort -S 100K -T . -k1,1nr n -o big
head -3 big
sort --parallel=2 -S 64K -T . -u n m | wc -l
sort -c n
sort -m sorted sorted | uniq -c | head -2
sort -z < /dev/null > z
sort -R --random-source=n n | head -2
sort none
sort -o none/x n
ls | wc -l
LC_ALL=C comm -12 <(sort n) <(sort m) > both
wc both
join <(sort n) <(sort m) | head -2
paste -d, n m | sed -n 5p
paste -s n | cut -c1-30
cut -c2 n | sort | uniq -c
cut -d1 -f2- m | tail -2
tr 0-9 a-j < n > letters
tr -d a < letters | md5sum
tr -s 'a-z\n' < letters | wc -c
head -c 1000 n | tail -c 10
head -n -59998 n
tail -n +59999 n
tail -c +300000 n | wc -c
tail -q -n 1 n m
head -n 1 n m
wc n m r
wc -L n
cat n m r | wc -l
cat -A m | head -2
cat -n n | tail -1
cat n - m < r | cksum
cat n >> n2
cat n2 >> n2
cat < n2 > n3
cmp n2 n3
nl n | tail -1
fold -w 3 big | sed -n 7p
fmt -w 40 n | head -2
pr -l 20 -h head m | sed -n 4,6p
printf 'a\tb\n' > t
expand t
expand t | unexpand -a | od -c
od -A d -t x1z n | tail -2
od -j 100 -N 16 -c n
base64 n > n64
base64 -d n64 | cmp - n
base32 -w0 m | tail -c 9
md5sum n m r > sums
md5sum -c sums
echo x >> r
md5sum -c --quiet sums
sha256sum n m > sha
sha256sum -c sha
sha512sum n | cut -c1-9
b2sum -l 128 n
cksum n
sum n
sha1sum none
shuf --random-source=n -n 3 n
shuf -e a -n 1 -o one
cat one
tsort <<< 'a b b c'
ptx m | tail -1
numfmt --to=iec 1048576
factor < /dev/null
split -n l/3 n chunk.
wc -l chunk.*
split -n r/2 --filter='md5sum' n
cmp n m
cmp -l t one
diff <(head -3 n) <(head -4 n)
yes line | head -20000 > yes
uniq -c yes
uniq -d n
uniq n m2
cmp n m2
truncate -s 0 yes
wc -c yes
seq 10 | tee >(wc -l > count) > ten
sleep 0.2
cat count
ls | sort | head -40
stat -c '%s %n' * | sort

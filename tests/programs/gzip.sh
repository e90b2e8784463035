# Program: gzip
# Package: gzip
# Commands: gzip gunzip zcat zgrep zdiff gzexe
# Does: compresses 100 files and a 3 MB one in place, tests, lists, concatenates, restores names, times and modes; damaged files
awk 'BEGIN {for (i = 1; i <= 100; i++) {f = "f" i; for (n = i; n <= 500; n++) print n > f; close(f)}}'
seq 400000 > big
touch -d '2002-03-04 05:06:07' f1 big
chmod 640 f1
chown daemon f1
gzip -n f*
ls | wc -l
gzip -k -N -9 big
gzip -l f1.gz big.gz
gzip -t -v f1.gz big.gz
zcat f2.gz f3.gz | md5sum
zgrep -c 7 f4.gz f5.gz
zdiff f6.gz f7.gz | wc -l
zcmp big big.gz && echo same
mv big was && gunzip -N big.gz && cmp big was && stat -c '%n %y' big
gunzip f1.gz && stat -c '%n %a %U %Y' f1
gzip -d f[2-5]?.gz && ls f*[0-9] | wc -l
cat f6.gz f7.gz > both.gz && gzip -cd both.gz | wc -l
gzip -c < big > piped.gz && gzip -cd < piped.gz | cmp - big
gzip -r -n -S .z . 2>&1 | sort | head -3
find . -name '*.z' | wc -l
gzip -d -S .z -r . && ls | sort | head -3
head -c 1000 piped.gz > cut.gz && gzip -t cut.gz
echo "status $?"
echo x | gzip -n > x.gz && printf junk >> x.gz && zcat x.gz
echo "status $?"
gzip f1 && echo new > f1 && gzip f1 < /dev/null
echo "status $?"
gzip -f -n f1 && zcat f1.gz
gzip none
ln -s big link && gzip link
ln f20 hard && gzip f20
gzip -fn f20 && ls f20* hard
mkdir d && gzip d
rm -f piped.gz cut.gz

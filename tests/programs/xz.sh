# Program: xz
# Package: xz-utils
# Commands: xz unxz xzcat xzgrep xzdiff lzma
# Does: compresses 60 files and a 3 MB one in place with several formats and threads, lists, tests and restores them; sparse output, damaged files
awk 'BEGIN {for (i = 1; i <= 60; i++) {f = "f" i; for (n = i; n <= 400; n++) print n > f; close(f)}}'
seq 400000 > big
touch -d '2002-03-04 05:06:07' f1 big
chmod 640 f1
xz -0 f?
ls *.xz
xz -k -1 -T 2 --block-size=500KiB big
xz -l --robot big.xz | grep -c totals
xz -t -v f1.xz 2>&1 | head -1
xzcat f2.xz f3.xz | md5sum
xzgrep -c 7 f4.xz
xzdiff f5.xz f6.xz | wc -l
mv big was && unxz big.xz && cmp big was && stat -c '%n %y' big
unxz f1.xz && stat -c '%n %a %Y' f1
xz -0 --format=lzma f1? && ls *.lzma | wc -l && unlzma f1?.lzma
xz -0 --format=raw --suffix=.raw --lzma2=preset=0 f20 && xz -dc --format=raw --suffix=.raw --lzma2=preset=0 f20.raw | tail -1
find . -name 'f3?' -print0 | xargs -0 xz -0 --check=crc32 && xz -l --robot f30.xz | cut -f 1,6 | head -2
ls f4? > list && xz -0 --files=list && ls f4*.xz | wc -l
xz -0 -c < big > piped.xz && xz -dc < piped.xz | cmp - big
truncate -s 5M sparse && xz -0 sparse && xz -d sparse.xz && [ "$(stat -c %b sparse)" -lt 1000 ] && echo sparse
xz -0 --flush-timeout=100 -c f50 | xz -dc | tail -1
head -c 1000 piped.xz > cut.xz && xz -t cut.xz
echo "status $?"
xz -d big
echo "status $?"
xz none f30.xz
ln -s big link && xz -0 link
xz -0 -f link && ls link*
rm piped.xz

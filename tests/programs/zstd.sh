# Program: zstd
# Package: zstd
# Commands: zstd unzstd zstdcat zstdgrep
# Does: compresses 100 files with levels, threads, a trained dictionary and output directories, restores and tests them; sparse output, damaged files
mkdir src
awk 'BEGIN {for (i = 1; i <= 100; i++) {f = "src/f" i; for (n = i; n <= 400; n++) print n > f; close(f)}}'
seq 400000 > big
touch -d '2002-03-04 05:06:07' big
chmod 640 big
zstd -q src/* && ls src | wc -l
zstd -q --rm src/f1? && ls src | wc -l
zstd -q -d src/f1?.zst && ls src | wc -l
zstd -q -T2 -3 --long big -o b.zst && zstd -q -t b.zst && stat -c '%a %y' b.zst
zstd -l b.zst | wc -l
mv big was && zstd -q -d b.zst -o big && cmp big was
zstd -q -19 src/f2 -o best.zst && zstdcat best.zst | md5sum
zstd -q --train src/f? src/f?? -o dict --maxdict=2000 && stat -c %s dict
zstd -q -D dict src/f3 -o with.zst && zstd -q -D dict -d with.zst -c | cmp - src/f3
zstd -q -d with.zst -c
echo "status $?"
mkdir out && zstd -q --output-dir-flat out src/f[1-5] && ls out
zstd -q --output-dir-mirror mirror src/f[6-9] && find mirror | sort
zstd -q -r src -o all.zst && zstd -q -dc all.zst | md5sum
zstd -q -c < big > piped.zst && zstd -q -dc < piped.zst | cmp - big
zstdgrep -c 77 src/f5.zst
truncate -s 5M sparse && zstd -q sparse && rm sparse && zstd -q -d sparse.zst && [ "$(stat -c %b sparse)" -lt 1000 ] && echo sparse
zstd -q --format=gzip big -o g.gz && gzip -t g.gz && rm g.gz
zstd -q big -o b.zst < /dev/null
echo "status $?"
zstd -q -f big -o b.zst && head -c 1000 b.zst > cut.zst && zstd -q -d cut.zst -o cut
echo "status $?"
ls cut
zstd -q none
zstd -q out
zstd -q --patch-from=src/f5 src/f6 -o patch.zst && zstd -q -d --patch-from=src/f5 patch.zst -c | cmp - src/f6

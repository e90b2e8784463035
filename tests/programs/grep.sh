# Program: GNU grep
# Package: grep
# Commands: grep egrep fgrep zgrep
# Does: recursive searches over 300 files with every kind of match and output; binary files, pattern files, NUL lists, exclusions, input that is output
mkdir -p t/{a,b}/{c,d}
for d in a a/c b/d b; do
    awk 'BEGIN {for (i = 1; i <= 75; i++) {f = "t/'$d'/" i ".txt"; for (n = i; n <= i * 40; n += 13) print n > f; close(f)}}'
done
printf 'bin\0ary 777\n' > t/bin
ln -s a t/link
ln -s none t/broken
grep -rc 777 t | grep -v ':0' | sort
grep -rn '^7[0-9]7$' t | sort | tail -5
grep -Rl 1000 t | sort | head
grep -rL 1 t | sort
grep -rh --include='1?.txt' 99 t | sort | uniq -c | sort -rn | head -3
grep -r --exclude-dir=c --exclude='[2-9]*' -c 14 t | sort | tail -2
grep -a ary t/bin
grep ary t/bin
grep -I ary t/bin
echo $?
grep -U -b ary t/bin | wc -c
grep -z bin t/bin | tr '\0' '@'
printf '77\n88\n' > pat
grep -f pat -o t/b/60.txt | sort | uniq -c
grep -w -m 2 -A 1 -B 1 -n 86 t/a/21.txt
grep -x -v -c 5 t/a/5.txt
grep -E '(1|2){3}' t/a/70.txt
grep -P '^(\d)\1\1$' t/a/70.txt
grep -F -e 1 -e 22 t/a/9.txt | head -2
grep -i BIN t/bin | wc -c
grep -q 5 t/a/5.txt
echo $?
grep -q no t/a/5.txt
echo $?
grep x none
echo $?
grep -s x none
echo $?
grep x t
grep 5 < t/a/5.txt > t/a/out
cat t/a/out | head -1
grep 5 t/a/*.txt >> t/a/out
wc -l < t/a/out
grep -r 5 t/a/c > t/a/c/self
echo $?
wc -l < t/a/c/self
grep -lZ 1000 -r t/b | sort -z | tr '\0' ' '
grep -T -H --label=x 5 < t/a/5.txt | head -1
grep --color=always 5 t/a/5.txt | head -1 | od -c | head -2
(
    cd t/a
    grep -r 100 . | sort | head -3
    grep -r 100 | sort | tail -1
    grep 1000 -- *.txt | wc -l
    grep -c '' ../b/7.txt
)
gzip -kn t/a/70.txt
zgrep -c 7 t/a/70.txt.gz
seq 100000 > big
grep -c 9 big
tail -f /dev/null | head -0
cat big | grep -n 99999
grep 99999 - big < big
egrep -c '1|2' big 2> /dev/null

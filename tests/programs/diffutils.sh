# Program: GNU diffutils
# Package: diffutils
# Commands: diff cmp diff3 sdiff
# Does: compares trees of 200 files in every output form; recursive with new, missing, linked, special and binary files; three-way merges, byte comparison
mkdir -p old/{a,b} new
awk 'BEGIN {for (i = 1; i <= 100; i++) {f = "old/a/f" i; for (n = i; n <= 80; n++) print n > f; close(f)}}'
awk 'BEGIN {for (i = 1; i <= 100; i++) {f = "old/b/g" i; for (n = i; n <= 20; n++) print n > f; close(f)}}'
cp -a old/. new
sed -i s/4/four/ new/a/f{2..90..3}
rm new/b/g3
echo added > new/b/added
mkfifo old/p new/p
ln -s a old/l
ln -s b new/l
printf 'a\0b' > old/bin
printf 'a\0c' > new/bin
mkdir new/b/only
touch -d '2001-01-01' old/*/* new/*/*
diff -r old new | md5sum
diff -rq old new
diff -rq --no-dereference old new | tail -2
diff -urN old/b new/b
diff -c old/a/f2 new/a/f2 | head -5
diff -y -W 30 old/a/f71 new/a/f71 | tail -2
diff -e old/a/f5 new/a/f5 | head -2
diff -n old/a/f5 new/a/f5 | head -2
diff -D X old/a/f74 new/a/f74 | head -4
diff --brief old/bin new/bin
diff -a old/bin new/bin
diff -s old/a/f1 new/a/f1
diff -i -w -B <(echo 'A  b') <(printf '\na b\n')
echo $?
diff old/a/f2 new/a
diff - old/a/f1 < new/a/f1
echo $?
diff none old
echo $?
diff old/a/f1 none
echo $?
diff -N old/a/f1 none | tail -1
diff -x 'f*' -r old/a new/a
diff --from-file=old/a/f1 new/a/f1 new/a/f3 | head -1
diff -I four old/a/f2 new/a/f2
diff -l old/a/f2 new/a/f2 | tail -1
diff --color=always old/a/f2 new/a/f2 | od -c | head -1
cmp old/a/f2 new/a/f2
cmp -l old/bin new/bin
cmp -s old/a/f1 new/a/f1
echo $?
cmp -n 3 old/a/f2 new/a/f2
cmp -i 3:4 old/a/f2 new/a/f2
cmp old/a/f1 < new/a/f1
cmp none old
cmp old/a/f1 <(head -3 old/a/f1)
seq 200000 > big1
sed 's/150000/x/' big1 > big2
diff big1 big2
cmp big1 big2
diff --speed-large-files big1 big2 | wc -l
sed '10s/$/mine/' old/a/f1 > mine
sed '60s/$/yours/' old/a/f1 > yours
diff3 mine old/a/f1 yours
diff3 -m mine old/a/f1 yours > merged
echo $?
wc -l merged
sed '10s/$/other/' old/a/f1 > other
diff3 -m mine old/a/f1 other | head -14 | tail -5
diff3 -e mine old/a/f1 other
printf 'l\nr\n' | sdiff -o chosen mine other > /dev/null
head -11 chosen | tail -1

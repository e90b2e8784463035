# Program: GNU patch
# Package: patch
# Commands: patch
# Does: applies, reverses, fuzzes and rejects patches of 60 files in unified, context, ed and git form; creates, removes and renames files, backups, times, modes
mkdir -p old/{a,b}
awk 'BEGIN {for (i = 1; i <= 30; i++) {f = "old/a/f" i; for (n = i; n <= 100; n++) print n > f; close(f)}}'
awk 'BEGIN {for (i = 1; i <= 30; i++) {f = "old/b/g" i; for (n = i; n <= 50; n++) print n > f; close(f)}}'
touch -d '2001-01-01' old/*/*
cp -a old new
sed -i "s/^5[1-7]\$/changed/;40,42d" new/a/f{2..30}
rm new/b/g3
echo added > new/b/added
mkdir new/c
echo deep > new/c/deep
sed -i '1d' new/b/g4
touch -d '2002-02-02' new/*/*
diff -urN old new > u.patch
diff -crN old new > c.patch
wc -l u.patch c.patch
cp -a old one
patch -s -p1 -d one < u.patch
diff -r one new && echo applied
ls one/b/g3
patch -s -R -p1 -d one < u.patch
diff -r one old && echo reversed
cp -a old two
(
    cd two
    patch -p1 -i ../c.patch > ../applied
    head -3 ../applied
)
diff -r two new && echo context
cp -a old three
patch -p1 -d three -Z -s < u.patch
stat -c '%y' three/a/f9
patch -p1 -d three --dry-run < u.patch < /dev/null | head -2
cp -a old four
patch -p1 -d four -b -z .orig -s < u.patch
ls four/a | wc -l
cmp four/a/f9.orig old/a/f9
patch -p1 -d four -s -N < u.patch | tail -1
echo $?
find four -name '*.rej' | wc -l
cp -a old five
sed -i '48,55d' five/a/f10
sed -i 's/^35$/x/' five/a/f11
(
    cd five
    patch -p1 -f < ../u.patch
) | grep -v '^patching'
find five -name '*.rej' | sort
patch -p0 -o result old/a/f2 < <(diff -u old/a/f2 new/a/f2) | sed 's/ .*//'
cmp result new/a/f2
diff -e old/a/f5 new/a/f5 > e
cp old/a/f5 e5
patch -e e5 < e
cmp e5 new/a/f5
ln -s f5 old/a/link
patch old/a/link < <(diff -u old/a/f5 new/a/f5)
printf 'diff --git a/x b/y\nsimilarity index 100%%\nrename from x\nrename to y\ndiff --git a/m b/m\nold mode 100644\nnew mode 100755\ndiff --git a/n b/n\nnew file mode 100755\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+n\n' > g.patch
echo x > x
echo m > m
patch -p1 < g.patch
stat -c '%a %n' m n y
ls x
patch -p1 -d none < u.patch
echo $?
patch -p1 < none
echo $?
echo garbage | patch
echo $?
patch -p1 -r - -d one -F 0 < u.patch | tail -1
chmod 444 two/a/f1 new/a/f1
diff -u new/a/f2 old/a/f2 | patch two/a/f2
mkdir -p sub
printf -- '--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+evil\n' | patch -p1 -d sub
ls
rm -f u.patch c.patch

# Program: GNU sed
# Package: sed
# Commands: sed
# Does: edits 120 files in place with and without backups, follows links, writes to files from scripts, reads files into text
awk 'BEGIN {for (i = 1; i <= 120; i++) {f = "f" i; for (n = i; n <= i + 50; n++) print n > f; close(f)}}'
sed -i 's/5/five/g' f*
cat f7 | head -3
sed -i.bak '1d;$d' f1?
wc -l f10 f10.bak
mkdir bak
sed -i'bak/*.old' 's/^/> /' f2?
ls bak | wc -l
cat f20 | head -2
ln -s f3 link
sed -i s/3/THREE/ link
stat -c %F link
ln -s f4 link2
sed -i --follow-symlinks 's/4/FOUR/' link2
stat -c %F link2
head -1 f4
ln f5 hard
sed -i 's/6/six/' hard
stat -c '%h %n' f5 hard
chmod 640 f6
chown daemon:daemon f6
sed -i 's/7/seven/' f6
stat -c '%a %U %n' f6
sed -n '/1/w ones
/2/w twos' f30
wc -l ones twos
sed '/3/r f1' f33 | head -5
sed '1R f9' f8 | head -3
sed -n '$=' f1 f2
sed -s -n '$=' f1 f2
sed -s -n '1F;1p' f1 f2
printf 's/a/b/\nw out\n' > script.sed
echo banana | sed -f script.sed
cat out
sed -E 's/([0-9])([0-9])/\2\1/;T;s/$/!/' f40 | head -3
sed -n '2{p;q}' f41
sed '5,$d' f42
sed -e '1!G;h;$!d' f43 | head -2
sed 'y/123/abc/' f44 | head -1
sed -z 's/\n/,/g' f45 | cut -c1-20
sed --debug -n p f46 | wc -l
sed -i s/x/y/ none
echo $?
sed -i s/x/y/ .
echo $?
sed p none
echo $?
sed -i 'w none/x' f1
echo $?
sed -u 1q f47
sed '1i\top
$a\bottom' f48 | sed -n '1p;$p'
seq 100000 > big
sed -i 's/9/nine/g;/0/d' big
wc big
sed 's/n/N/w changed' big | tail -1
wc -l changed
sed '1e cat f49 | head -1' f50 | head -2
sed -i 'c\only' f51
cat f51 | uniq -c
sed -n '/60/,/65/p' < f50 > part
cat part
sed p <&-
echo $?

# Program: a static Go program (shfmt)
# Package: shfmt
# Commands: shfmt
# Does: formats 120 scripts below directories in place and to an output; lists, differences, standard input, errors; static, so all by the mount
file -b -L "$(command -v shfmt)" | grep -o 'statically linked'
mkdir -p t/{a,b}/c
for i in $(seq 60); do
    printf 'if true;then\necho %d\nfi\nfoo( ) { echo "$1" ; }\n' $i > t/a/s$i.sh
    printf '#!/bin/bash\nwhile read -r l;do [[ $l = x ]]&&break;done\n' > t/b/c/s$i
done
chmod 755 t/b/c/s7
echo 'text' > t/b/text
ln -s a t/link
shfmt -f t | wc -l
shfmt -l t | sort | tail -2
shfmt -d t/a/s1.sh
echo $?
shfmt -i 2 t/a/s2.sh
shfmt -w t/a && shfmt -l t/a
cat t/a/s3.sh
shfmt -w -s -i 4 t/b
stat -c '%a %n' t/b/c/s7
cat t/b/c/s9
shfmt < t/a/s5.sh | wc -l
shfmt -mn < t/a/s6.sh > minified
cat minified
shfmt -tojson < minified | jq .Type 2> /dev/null
printf 'if\n' > bad.sh
shfmt bad.sh
echo $?
shfmt none
echo $?
printf '[*.sh]\nindent_style = space\nindent_size = 8\n' > .editorconfig
shfmt t/a/s8.sh | head -3
(cd t/a && shfmt s9.sh | head -2)
shfmt -l . > list
wc -l list
chmod 444 t/a/s10.sh
shfmt -i 1 -w t/a/s10.sh
stat -c %a t/a/s10.sh
shfmt -ln posix t/b/c/s1
echo $?
find t -name '*.sh' -print0 | xargs -0 -n 10 shfmt -w -i 3
cat t/*/s*.sh | md5sum

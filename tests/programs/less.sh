# Program: less
# Package: less
# Commands: less lesskey
# Does: pages files, pipes and several files to an output, log files, patterns, preprocessors, line numbers; binary and missing files
seq 5000 > n
for i in 1 2 3; do seq $i 9 > f$i; done
less n > out
cmp n out && echo whole
less < n | md5sum
cat n | less | md5sum
less f1 f2 f3 > all
cat all
less -N f1 > numbered
head -2 numbered
less -p 77 n | head -1
less +100 n | head -1
less +/50 n | head -2
cat n | less -O log | tail -1
less none
echo $?
less .
echo $?
printf 'a\0b\001\n' > bin
less -f bin | od -c
less -E -X -R f1
less -s -S f2 > s
cat s
printf '#!/bin/sh\necho "preprocessed $1"; cat "$1"\n' > pre
chmod +x pre
LESSOPEN="|$PWD/pre %s" less f1
LESSOPEN="$PWD/pre2 %s" less f1 | head -1
printf '#command\nq quit\n' > .lesskey
lesskey -o keys .lesskey && stat -c %F keys
LESS=-N less f3
gzip -nk f1
zless f1.gz
PAGER=less man -P cat none 2>&1 | head -1
less -J n | wc -l
less --follow-name f1 > /dev/null
less - < f2
less -m -Pprompt f1 f2 | wc -l
less -e f1 > none/x
less n | head -3
TERM=dumb less -F f1
less -t x f1
echo $?

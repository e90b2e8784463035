# Program: curl
# Package: curl
# Commands: curl
# Does: file:// URLs read, written, resumed, ranged and globbed; output files and directories, configuration, cookie and header files on the prefix, missing files
seq 50000 > n
for i in 1 2 3 4 5; do seq $i 20 > f$i; done
touch -d '2001-01-01' n f?
u="file://$PWD"
curl -s "$u/n" | md5sum
curl -s "$u/n" -o copy && cmp n copy
curl -s -r 100-199 "$u/n" -o range
wc -c range
head -c 1000 n > partial
curl -s -C - "$u/n" -o partial
cmp n partial
curl -s "$u/f[1-5]" -o 'out#1'
ls out*
curl -s "$u/{f1,f2}"
curl -s --create-dirs -o deep/er/x "$u/f3"
cat deep/er/x
mkdir d
(
    cd d
    curl -s -O "$u/f4" -O "$u/f5"
    ls
)
curl -s --output-dir d2 --create-dirs -O "$u/f1"
curl -s -T n "$u/uploaded"
cmp n uploaded
curl -s -T - "$u/stdin" < f1
cat stdin
curl -s -a -T f2 "$u/stdin"
wc -l stdin
curl -s -I "$u/f1" | grep -i length
curl -s -R "$u/n" -o timed
printf 'url = "%s/f2"\noutput = "configured"\nsilent\n' "$u" > rc
curl -K rc
cmp f2 configured
curl -s "$u/none"
echo $?
curl -s "$u/d"
echo $?
curl -s -o none/x "$u/f1"
echo $?
curl -s -w '%{size_download} %{exitcode}\n' -o /dev/null "$u/n"
curl -s --max-filesize 10 "$u/n" -o big
echo $?
curl -s -D headers "$u/f1" -o /dev/null
wc -l headers
curl -s -z '2001-01-01' "$u/f1" | wc -l
curl -s --no-progress-meter --parallel "$u/f[1-5]" -o 'p#1'
cat p?
curl -s "$u/f1" > stdout
cat stdout
curl -s --remove-on-error -o kept "$u/none"
ls kept
touch -d '2001-01-01 00:00:00' n
curl -s -R "$u/n" -o timed
stat -c %y timed
curl -s "file://localhost$PWD/f5" | tail -1
curl -s --etag-save etag -c cookies "$u/f1" > /dev/null
ls etag cookies

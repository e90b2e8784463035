# Program: GNU awk
# Package: gawk
# Commands: gawk
# Does: reports over 100 files; splits output over 150 files and pipes, getline from files and commands, in-place editing, coprocesses, close and append
gawk 'BEGIN {for (i = 1; i <= 100; i++) {f = "d" i; for (n = i; n <= 900; n += 7) print i, n, n % 9 > f; close(f)}}'
gawk '{n[$3] += $2} END {for (k in n) print k, n[k]}' d* | sort
gawk 'FNR == 3 {print FILENAME, NR, $2} ENDFILE {c++} END {print c}' d1?
gawk 'BEGINFILE {if (ERRNO) {print FILENAME, ERRNO; nextfile}} FNR == 1' none d2 .
gawk '{print > ("out-" $3); print $1 >> "all"; if ($2 > 880) print $2 | "sort -n > sorted"} END {close("sort -n > sorted"); while ((getline l < "sorted") > 0) c++; print c; print (getline x < "none"), ERRNO}' d*
wc -l out-* all
for i in $(seq 150); do echo $i; done | gawk '{f = "m" $1; print $1 > f} NR % 50 == 0 {fflush(); system("ls m* | wc -l")}'
gawk -i inplace '{sub(/1/, "ONE")} 1' d3 d4
head -1 d3 d4
gawk -i inplace -v inplace::suffix=.bak 'NR > 1' d5
wc -l d5 d5.bak
gawk 'BEGIN {c = "sort -r"; print "a" |& c; print "b" |& c; close(c, "to"); while ((c |& getline l) > 0) print l; close(c)}'
gawk 'BEGIN {"cat d6 | wc -l" | getline n; print n; "pwd" | getline p; sub(/.*\//, "", p); print p; while (("ls m1*" | getline f) > 0) k++; print k}'
echo '{s += $2} END {print s}' > prog.awk
gawk -f prog.awk d7
gawk -f prog.awk < d8
gawk --lint -f prog.awk d9 2>&1
gawk -l filefuncs 'BEGIN {print stat("d10", s), s["size"], s["type"], s["nlink"]; print stat("none", s) < 0; chdir("/"); }'
gawk -l readdir 'BEGIN {FS = "/"} $3 == "f" && $2 ~ /^d1/ {print $2}' . | sort | head -3
printf 'a,b\nc,d\n' > csv
gawk -F, -v OFS=';' '{$1 = $1} 1' csv
gawk 'BEGIN {RS = ""; FS = "\n"} {print NF}' d11
gawk -v RS='\0' 'END {print NR}' d12
gawk -b 'BEGIN {printf "%c", 200 > "byte"}'
od -t x1 byte
gawk 'BEGIN {printf "x" > "none/x"}'
echo $?
gawk 'BEGIN {print "to stdout" > "/dev/stdout"; print "err" > "/dev/stderr"; print "fd" > "/dev/fd/1"}' > std 2>&1
cat std
gawk -p/dev/null 1 csv > /dev/null
gawk --profile=prof -f prog.awk d13
grep -c END prof
gawk --dump-variables=vars 'BEGIN {a = 1}'
grep '^a' vars
gawk 'BEGIN {while ((getline < "d14") > 0) n++; close("d14"); while ((getline < "d14") > 0) n++; print n; printf "no newline" > "nl"; close("nl"); print "more" >> "nl"}'
cat nl
seq 200000 > big
gawk '{s += $1} NR % 2 {print > "odd"} END {print s}' big
tail -1 odd
rm vars prof

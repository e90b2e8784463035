# Program: ripgrep
# Package: ripgrep
# Commands: rg
# Does: searches 400 files with threads and maps: ignore files, globs, types, hidden and binary files, compressed files, replacements, context, JSON, links
mkdir -p t/{a,b}/{c,d} t/.hidden t/ignored
for d in a a/c b/d .hidden; do
    awk 'BEGIN {for (i = 1; i <= 100; i++) {f = "t/'$d'/" i ".txt"; for (n = i; n <= i * 40; n += 17) print n > f; close(f)}}'
done
for i in $(seq 100); do echo "fn f$i() {}" > t/b/$i.rs; done
printf 'bin\0ary 777\n' > t/bin
echo 777 > t/ignored/x
printf 'ignored\n*.log\n!keep.log\n' > t/.ignore
echo 777 > t/a/x.log
echo 777 > t/a/keep.log
ln -s a t/link
ln -s none t/broken
cd t
rg -c 777 | sort
rg -n '^7[0-9]7$' --sort path | tail -3
rg -l 1000 | sort | head -5
rg --files | wc -l
rg --files --hidden --no-ignore | wc -l
rg --files -t rust | sort | tail -1
rg -g '1?.txt' -c 99 --sort path
rg -g '!*.txt' -l f --sort path | head -3
rg -L -c 777 --sort path | head -4
rg -uuu -c 777 --sort path | tail -3
rg -a ary
rg ary bin
rg --mmap -c 14 --sort path | md5sum
rg --no-mmap -c 14 --sort path | md5sum
rg -j1 14 -c | sort | md5sum
rg -F -e 1 -e 22 --count-matches a/9.txt
rg -w -m 2 -C 1 86 a/21.txt
rg -o -r '<$1>' '(\d)7' a/7.txt | head -3
rg --json 86 a/21.txt | jq -r 'select(.type == "match") | .data.line_number'
rg -U '18\n35' a --sort path
rg -v -x -c 5 a/5.txt
rg --stats 77 2>&1 | grep -c searched
rg none
echo $?
rg -j1 x none
echo $?
rg '('
echo $?
rg -q 7
echo $?
echo '77' > ../pats
rg -f ../pats -c --sort path | head -2
gzip -nk a/70.txt
rg -z -c 7 a/70.txt.gz
rg 5 < a/5.txt | head -1
cat a/5.txt | rg -c 5
rg --sort path 5 a/*.txt > ../out
wc -l < ../out
rg -c 7 .. --sort path | tail -1
rg --max-depth 1 -c . --sort path
rg -0 -l 1000 | sort -z | tr '\0' ' ' | head -c 40
rg --pre cat -c 7 a/7.txt
rg --files-without-match 1 --sort path | head
rg --one-file-system -l 99 | sort | head -2
rg --debug x 2>&1 | grep -c ignore | head -c 0
rg --sort modified --files a/c | wc -l
rg -p 86 a/21.txt | od -c | head -1
rg 1000 ../t/b --sort path | tail -1

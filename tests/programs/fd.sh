# Program: fd
# Package: fd-find
# Commands: fdfind
# Does: finds among 400 files by pattern, type, size, age, owner, depth and extension; ignore files, hidden files, links, parallel and batch commands
# Long in uml: yes
mkdir -p t/{a,b}/{c,d} t/.hidden t/ignored t/empty
for i in $(seq $((SCALE > 1 ? 20 : 100))); do for d in a a/c b/d .hidden; do echo $i > t/$d/f$i.txt; done; done
seq 50000 > t/a/large.log
echo > t/ignored/x
printf 'ignored\n' > t/.fdignore
ln -s a t/link
ln -s none t/broken
chmod +x t/a/f7.txt
chown daemon t/a/f8.txt
touch -d '2000-01-01' t/b/d/f9.txt
mkfifo t/fifo
cd t
fdfind | wc -l
fdfind -HI | wc -l
fdfind '^f1.\.txt$' a | sort | head -3
fdfind -e log
fdfind -t d | sort
fdfind -t l | sort
fdfind -t x
fdfind -t e | sort
fdfind -t p
fdfind -S +100k
fdfind --changed-before 2001-01-01
fdfind -o daemon
fdfind -d 1 | sort
fdfind --min-depth 3 | wc -l
fdfind -L f7.txt | sort
fdfind -g 'f?.txt' b | wc -l
fdfind -p 'a/c/f9' | sort
fdfind -E c -E '*.log' . a | wc -l
fdfind -0 f99 | sort -z | tr '\0' ' '
echo
fdfind -x cat {} \; f42 | sort
fdfind -X wc -l \; 'f1.txt' | sort | tail -1
fdfind f5 a/c -x echo {/} {.} {//} | sort
fdfind -j 4 -e txt -x cp {} {}.copy
fdfind -e copy | wc -l
fdfind -e copy -X rm
fdfind -e copy | wc -l
fdfind -a f42 | sed 's#.*/t/##' | sort
fdfind none
echo $?
fdfind x nowhere
echo $?
fdfind -q f1
echo $?
fdfind '('
echo $?
fdfind -1 large
fdfind --base-directory b f33
fdfind --prune '^c$'
fdfind -l large | awk '{print $1, $5}'
fdfind x -x false
echo $?
fdfind --strip-cwd-prefix f77 a | sort
fdfind --one-file-system f88 | sort
fdfind .. a/c -d 1 | wc -l
fdfind --threads 1 -s F12 | wc -l

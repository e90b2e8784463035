# Program: GNU findutils
# Package: findutils
# Commands: find xargs
# Does: 600 files found by name, type, time, size, mode, owner, links; -exec, -execdir, -delete, -printf, -fprint, -prune; xargs with many processes
# Long in uml: yes
for d in 1 2 3/4/5 3/6; do
    mkdir -p t/$d
    for i in $(seq $((SCALE > 1 ? 40 : 150))); do echo $i > t/$d/f$i; done
done
truncate -s 100k t/1/large
touch -d '2000-01-01' t/2/f1 t/3/6/f9
chmod 600 t/1/f5
chmod 4755 t/1/f6
chown daemon t/2/f7
ln t/1/f8 t/2/linked
ln -s ../1 t/2/dir
ln -s none t/2/broken
mkfifo t/3/fifo
mkdir t/empty
find t -type f | wc -l
find t -type d | sort
find t -name 'f1?' | sort | tail -3
find t -size +50k
find t -newer t/2/f1 -type p
find t ! -newermt 2001-01-01 -type f | sort
find t -perm 600
find t -perm /4000 -printf '%m %n %s %P\n'
find t -user daemon -printf '%u %g %f\n'
find t -links 2 -type f | sort
find t -samefile t/1/f8 | sort
find t -empty | sort
find t -xtype l
find -L t -type l
find -L t -name f3 | sort
find t -lname '*1' -printf '%l %Y\n'
find t -path '*/4/*' -prune -o -name f3 -print | sort
find t -maxdepth 2 -mindepth 2 | sort | tail -5
find t -depth -type d
find t -regex '.*/f14[0-9]' | wc -l
find t -type f -printf '%k %b\n' | wc -l
find t -mtime +1000 | sort
find t -inum "$(stat -c %i t/1/f9)"
find t/1 -name 'f10*' -exec cat {} \; | sort
find t/1 -name 'f1*' -exec cat {} + | sort -n | tail -1
find t -name f2 -execdir sh -c 'pwd | sed "s#.*/##"; cat {}' \; | sort
find t -name f3 -ok true \; < /dev/null
find t -name 'f4' -fprint out -fls ls -fprintf fmt '%p %s\n'
sort out fmt
wc -l < ls
rm ls
find t -print0 | sort -z | xargs -0 ls -d | wc -l
find t -type f -print0 | xargs -0 -n 7 -P 3 cat | wc -c
find t/2 -type f | sort | xargs -I{} -P 2 cp {} {}.copy
ls t/2 | wc -l
seq 5 | xargs -n 2 echo
echo a b | xargs -I{} echo '[{}]'
xargs -a out cat
xargs -a none
printf 't/1/f1\0t/1/f2\0' | xargs -0 -t cat
echo t/none | xargs cat
echo $?
find t -name '*.copy' -delete
ls t/2 | wc -l
find t/3 -delete
ls t
find none
echo $?
find t -type d -name 1 -exec mv {} t/moved \;
ls t
find t -readable -writable -executable -type d | sort
find t -fstype none
find t -xdev -name f150
find t -quit
find "$PWD/t" -maxdepth 0 -printf '%f %h\n' | sed 's#/.*##'
find . -type f | sort | head -300 | cpio -o 2> /dev/null | cpio -t 2> /dev/null | wc -l

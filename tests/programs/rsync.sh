# Program: rsync
# Package: rsync
# Commands: rsync
# Does: mirrors 240 files with hard links, attributes, lists, sparse files and exact times; updates in place and by differences, deletes, backs up, filters, batches
mkdir -p from/{a,b}/{c,d}
awk 'BEGIN {for (i = 1; i <= 120; i++) {f = "from/a/c/" i; for (n = i; n <= 300; n++) print n > f; close(f)}}'
cp -al from/a/c/. from/b/d
ln -s ../a from/b/up
mkfifo from/fifo
truncate -s 4M from/sparse
setfattr -n user.k -v v from/a/c/7
setfacl -m u:daemon:rwx from/a/c/8
chown daemon:daemon from/a/c/11
find from -exec touch -h -d '1999-12-31 23:59:59.5' {} +
rsync -aHAXSO from/ to/
rsync -aHAXSO --checksum --itemize-changes from/ to/
[ "$(stat -c %b to/sparse)" -lt 1000 ] && echo sparse
rm -r from/a/d from/a/c/1*
echo more >> from/b/d/20
touch -d '2005-06-07 08:09:10' from/b/d/20
chmod 600 from/a/c/30
rsync -aHAXSO --delete --itemize-changes from/ to/
seq 100000 > from/large && touch -d '2005-01-01' from/large && rsync -aO from/large to/
sed -i 's/50000/fifty/' from/large && touch -d '2006-01-01' from/large
rsync -aHAXSO --inplace --no-whole-file --delete --itemize-changes from/ to/
cmp from/large to/large
rsync -aO --no-whole-file --partial-dir=.part --stats from/ second/ | grep -c 'Number of files'
rsync -a --exclude='*[02468]' --include='*/' --max-size=1k from/ filtered/ && find filtered -type f | wc -l
echo changed > from/a/c/41
rsync -aO --backup --backup-dir=../kept --suffix=.old from/ second/ && find kept | sort
rsync -aO --link-dest="$PWD/second" from/ third/ && stat -c %h third/a/c/43
rsync -aO --dry-run --delete --itemize-changes from/a/ third/b/ | sort | head -3
(cd from && find a/c -name '5*' | rsync -aO --files-from=- . ../listed) && find listed -type f | sort | tail -2
rsync -aO --remove-source-files listed/ moved/ && find listed -type f | wc -l && find moved -type f | wc -l
rsync -aO --write-batch=batch from/ fourth/ && rsync -aO --read-batch=batch fifth/ && diff -r -x fifo --no-dereference fourth fifth
rsync -r --list-only from/a/c/ | wc -l
rsync -a none to/
echo "status $?"
rsync -aO --append-verify --temp-dir=/tmp from/a/ sixth/ && diff -r from/a sixth
rsync -aO --delay-updates --fuzzy --compress --fsync from/ sixth/ && diff -r -x fifo --no-dereference from sixth
rm batch batch.sh

# Program: SQLite
# Package: sqlite3
# Commands: sqlite3
# Does: databases in every journal mode, WAL with two writers and a reader at once, rollback after kill, attach, vacuum, backup, import and export of 5,000 rows, mapped I/O
for mode in delete truncate persist memory wal; do
    sqlite3 $mode.db "PRAGMA journal_mode=$mode; CREATE TABLE t(n INTEGER PRIMARY KEY, s TEXT); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) INSERT INTO t SELECT n, hex(n) FROM c; UPDATE t SET s = s || 'x' WHERE n % 3 = 0; BEGIN; DELETE FROM t; ROLLBACK; DELETE FROM t WHERE n % 10 = 0; CREATE INDEX i ON t(s); PRAGMA integrity_check; SELECT count(*), sum(n), max(s) FROM t"
    ls $mode.db*
done
sqlite3 wal.db 'CREATE TABLE w(way INT, n INT, UNIQUE(way, n))'
writer() {
    for n in $(seq $((40 / SCALE))); do echo "BEGIN IMMEDIATE; INSERT INTO w SELECT $1, $n; COMMIT;"; done | sqlite3 -bail -cmd '.timeout 30000' wal.db
}
writer 1 &
writer 2 &
for _ in 1 2 3 4 5; do sqlite3 -cmd '.timeout 30000' wal.db 'SELECT count(*) FROM w' > /dev/null || echo reader failed; done
wait
sqlite3 wal.db 'SELECT way, count(*), sum(n) FROM w GROUP BY way; PRAGMA integrity_check; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode'
writer() {
    for n in $(seq $((25 / SCALE))); do echo "BEGIN IMMEDIATE; INSERT INTO w SELECT $1, $n; COMMIT;"; done | sqlite3 -bail -cmd '.timeout 30000' delete.db
}
sqlite3 delete.db 'CREATE TABLE w(way INT, n INT, UNIQUE(way, n))'
writer 1 &
writer 2 &
wait
sqlite3 delete.db 'SELECT way, count(*), sum(n) FROM w GROUP BY way; PRAGMA integrity_check'
mkfifo commands
sqlite3 -cmd 'PRAGMA cache_size=2' delete.db < commands &
exec 4> commands
printf 'PRAGMA cache_spill=1;\nBEGIN IMMEDIATE;\nDELETE FROM t;\n.system touch held\n' >&4
until [ -e held ]; do sleep 0.05; done
sqlite3 delete.db 'INSERT INTO t VALUES(-1, 0)'
kill -9 $! && wait $! 2> /dev/null
exec 4>&-
wait
sqlite3 -cmd '.timeout 5000' delete.db 'SELECT count(*) FROM t; PRAGMA integrity_check'
ls delete.db*
sqlite3 truncate.db 'PRAGMA mmap_size=100000000' 'SELECT count(*) FROM t WHERE s LIKE "%5%"' 'UPDATE t SET s = "mapped" WHERE n < 100' 'SELECT count(*) FROM t WHERE s = "mapped"'
sqlite3 persist.db 'ATTACH "truncate.db" AS o; INSERT INTO t SELECT n + 100000, s FROM o.t; CREATE TABLE o.copy AS SELECT * FROM main.t; SELECT count(*) FROM o.copy' '.backup backup.db' 'VACUUM INTO "vacuumed.db"' 'VACUUM'
sqlite3 backup.db 'SELECT count(*) FROM t; PRAGMA page_count'
sqlite3 vacuumed.db 'PRAGMA integrity_check'
printf '.headers on\n.mode csv\n.output out.csv\nSELECT * FROM t LIMIT 500;\n.output\n.import out.csv imported\nSELECT count(*) FROM imported;\n.dump imported\n' | sqlite3 memory.db > dump
head -2 dump
sqlite3 restored.db < dump 2>&1 | head -1
sqlite3 memory.db .dump | sqlite3 dumped.db && sqlite3 dumped.db 'SELECT count(*) FROM t'
sqlite3 none/x.db 'SELECT 1; CREATE TABLE t(n)'
chmod 444 vacuumed.db && sqlite3 -readonly vacuumed.db 'DELETE FROM t'
echo garbage > bad.db && sqlite3 bad.db 'SELECT * FROM t'
sqlite3 memory.db "SELECT writefile('blob', zeroblob(70000)), length(readfile('blob')); SELECT name, mode, length(data) FROM fsdir('blob')" && sqlite3 archive.sqlar -A -c blob dump && sqlite3 archive.sqlar -A -t
# Random salts, times and counts of this run stand in these.
rm -f ./*.db* archive.sqlar

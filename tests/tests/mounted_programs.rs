//! Real programs on a mount: what they say and what they leave is what they say and leave natively.

use hostcall_tests::mounted::{Mounted, MODES};
use hostcall_tests::outside::{inventory, may_mount, program, script, succeed};
use serde_json::json;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

/// Runs a script natively and on a mount in each cache mode, each in a fresh directory, `$1`; what it says and the
/// tree that it leaves on the host must be equal.
fn same_as_native(text: &str) {
    if !may_mount() {
        return;
    }
    for cache in MODES {
        let mounted = Mounted::start(cache);
        let native = mounted.host("native");
        let hosts = mounted.host("mounted");
        for directory in [&native, &hosts] {
            std::fs::create_dir(directory).unwrap();
        }
        let expected = script(text, &[&native]);
        let found = script(text, &[&mounted.path("mounted")]);
        assert_eq!(found, expected, "cache={cache}");
        assert_eq!(inventory(&hosts), inventory(&native), "cache={cache}");
    }
}

#[test]
fn git_keeps_a_history() {
    // Fixed identities and dates, so that both sides make the same objects.
    same_as_native(
        r#"
        export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_AUTHOR_DATE='1700000000 +0000'
        export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org GIT_COMMITTER_DATE='1700000000 +0000'
        git() { command git -c safe.directory='*' -c gc.auto=0 -c maintenance.auto=false -c pack.threads=1 "$@"; }
        cd "$1"
        git init -q -b main one
        cd one
        for commit in $(seq 8); do
            mkdir -p d$commit
            for file in $(seq 12); do seq $commit $((commit * file * 9)) > d$commit/f$file; done
            seq $commit 500 >> grows
            git add -A
            git commit -qm "commit $commit"
        done
        git tag -a -m v1 v1
        git mv grows grown
        git commit -qm moved
        git checkout -qb side HEAD~3
        echo side > side
        git add side
        git commit -qm side
        git merge -q -m merged main
        git status --short
        cd ..
        git clone -q --no-local --no-hardlinks one two 2>&1
        git -C two gc -q --prune=now --aggressive
        git -C two fsck --full --strict 2>&1
        git -C one fsck --full 2>&1
        git -C two log --all --topo-order --format='%H %s'
        git -C two stash list
        git clone -q --shared two three
        git -C three checkout -q -b other HEAD~1
        git -C three diff --stat side --
        git -C three worktree add -q ../four side~1
        git -C four rev-parse HEAD
        # What holds times, inodes and names of this place.
        rm -rf one/.git two/.git three/.git four/.git
        "#,
    );
}

#[test]
fn cargo_builds_a_crate() {
    if !may_mount() {
        return;
    }
    const CRATE: &str = r#"
        cd "$1"
        mkdir -p crate/src
        printf '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\n' > crate/Cargo.toml
        printf 'mod part;\nfn main() { println!("{}", part::sum(&[1, 2, 39])); }\n' > crate/src/main.rs
        printf 'pub fn sum(all: &[u32]) -> u32 { all.iter().sum() }\n' > crate/src/part.rs
        printf '#[test]\nfn adds() { assert_eq!(sum(&[1, 2]), 3); }\n#[cfg(test)]\nuse self::sum as _;\n' >> crate/src/part.rs
        cd crate
        "$CARGO" build --offline --quiet
        ./target/debug/small
        "$CARGO" test --offline --quiet 2>&1 | grep 'test result'
        touch -d '2001-01-01' src/part.rs
        sed -i 's/39/40/' src/main.rs
        "$CARGO" run --offline --quiet
    "#;
    for cache in MODES {
        let mounted = Mounted::start(cache);
        let mut bash = program("bash");
        // The toolchain finds itself by its user's home.
        for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(name) {
                bash.env(name, value);
            }
        }
        let said = succeed(
            bash.args(["-euo", "pipefail", "-c", CRATE, "script"])
                .arg(mounted.path(""))
                .env("CARGO", env!("CARGO")),
        );
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 3, "cache={cache}: {said}");
        assert_eq!((lines[0], lines[2]), ("42", "43"), "cache={cache}");
        assert!(lines[1].contains("1 passed; 0 failed"), "cache={cache}");
    }
}

#[test]
fn tar_carries_everything() {
    same_as_native(
        r#"
        cd "$1"
        mkdir -p from/a/b from/empty
        seq 20000 > from/a/plain
        printf x > from/a/b/x
        chmod 4750 from/a/b/x
        ln from/a/plain from/hard
        ln -s a/plain from/soft
        ln -s absent/target from/broken
        mkfifo from/fifo
        truncate -s 64M from/sparse
        printf middle | dd of=from/sparse bs=1 seek=33554432 conv=notrunc status=none
        setfattr -n user.colour -v green from/a/plain
        setfattr -n user.empty from/a
        setfacl -m u:nobody:r,g:daemon:rw from/a/plain
        setfacl -d -m u:daemon:rx from/a
        touch -h -d '2001-02-03 04:05:06.789' from/a/plain from/soft from/a/b
        chown daemon:daemon from/a/b/x
        chmod 4750 from/a/b/x
        tar -c -S --xattrs --xattrs-include='*' --acls -f all.tar --sort=name from
        [ $(stat -c %s all.tar) -lt 1000000 ]
        mkdir to
        tar -x -S --xattrs --xattrs-include='*' --acls -p -f all.tar -C to
        tar -d -f all.tar -C to
        cd to/from
        for file in a a/plain a/b/x; do getfattr -hd -m - "$file"; getfacl -p "$file"; done
        stat -c '%n %F %a %u:%g %h %s' a/plain a/b/x hard fifo sparse soft broken
        stat -c '%y' a/plain soft a/b
        # A sparse file takes a few blocks.
        [ $(stat -c %b sparse) -lt 256 ]
        cmp sparse ../../from/sparse
        rm ../../all.tar
        "#,
    );
}

#[test]
fn rsync_mirrors_a_tree() {
    same_as_native(
        r#"
        cd "$1"
        mkdir -p from/{a,b}/{c,d}
        for i in $(seq 120); do seq $i 400 > from/a/c/$i; ln from/a/c/$i from/b/d/$i; done
        ln -s ../a from/b/up
        mkfifo from/fifo
        setfattr -n user.k -v v from/a/c/7
        setfacl -m u:daemon:rwx from/a/c/8
        touch -d '1999-12-31 23:59:59.5' from/a/c/9
        rsync -aHAXSO from/ to/
        rsync -aHAXSO --checksum --itemize-changes from/ to/
        rm -r from/a/d from/a/c/1*
        echo more >> from/b/d/20
        touch -d '2005-06-07 08:09:10' from/b/d/20
        chmod 600 from/a/c/30
        rsync -aHAXSO --delete --itemize-changes from/ to/
        rsync -aHAXSO --inplace --no-whole-file --delete --itemize-changes from/ to/
        diff -r --no-dereference -x fifo from to
        stat -c '%n %y' to/a/c/9
        "#,
    );
}

#[test]
fn editors_and_compilers_replace_files() {
    same_as_native(
        r#"
        cd "$1"
        seq 3000 > text
        sed -i 's/7/seven/' text
        perl -i.old -pe 's/3/three/' text
        sort -R -o text text
        sort -n -S 64K -o text text
        cp --sparse=always -p text copy
        dd if=text of=copy conv=notrunc bs=512 seek=1 count=3 status=none
        cat text >> copy
        printf '#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n' > p.c
        gcc -g0 -pipe -o p p.c
        ./p
        cp p q && strip q && ./q
        ar rc lib.a p.c && ranlib lib.a && ar t lib.a
        gzip -nk text && zcat text.gz | cmp - text
        tac text | tee reversed | wc -l
        mktemp -p . temporary.XXXX > /dev/null && rm -f temporary.????
        printf '#!/bin/sh\necho "$0" | wc -w\n' > run && chmod +x run && ./run
        install -D -m 640 text deep/er/text
        mv deep other && rmdir other/er 2>/dev/null || rm -r other
        split -n 3 text part. && cat part.* | cmp - text
        truncate -s 100 text && truncate -s 200 text && od -c text | tail -1
        rm p q lib.a
        "#,
    );
}

/// Two programs each insert rows into one database, by their own ways; both see all, and nothing is damaged.
fn two_writers(journal: &str, ways: [&Path; 2]) {
    const ROWS: u32 = 120;
    succeed(
        program("sqlite3")
            .arg(ways[0])
            .arg(format!(
                "PRAGMA journal_mode={journal}; CREATE TABLE t(way INT, n INT, filler TEXT, UNIQUE(way, n));"
            )),
    );
    // One transaction a row, each of which reads what the other has written.
    let insert = |way: usize| {
        (0..ROWS)
            .map(|n| {
                format!(
                    "BEGIN IMMEDIATE; INSERT INTO t SELECT {way}, {n}, hex(randomblob(200)) || count(*) FROM t; COMMIT;\n"
                )
            })
            .collect::<String>()
    };
    let start = |way: usize, database: &Path| {
        program("sqlite3")
            .args(["-bail", "-cmd", ".timeout 60000"])
            .arg(database)
            .arg(insert(way))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both: Vec<_> = (0..2).map(|way| start(way, ways[way])).collect();
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{journal}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    for way in ways {
        let said = succeed(program("sqlite3").arg(way).arg(
            "PRAGMA integrity_check; SELECT way, count(*), sum(n) FROM t GROUP BY way; PRAGMA journal_mode;",
        ));
        let sum = ROWS * (ROWS - 1) / 2;
        assert_eq!(
            said,
            format!("ok\n0|{ROWS}|{sum}\n1|{ROWS}|{sum}\n{journal}\n")
        );
    }
}

/// A write-ahead log needs memory that all its users share: those of one guest do.
#[test]
fn a_database_with_a_write_ahead_log_has_two_writers_in_the_guest() {
    if !may_mount() {
        return;
    }
    for cache in MODES {
        let mounted = Mounted::start(cache);
        let database = mounted.path("db");
        two_writers("wal", [&database, &database]);
        let seen = succeed(
            program("sqlite3")
                .arg(mounted.host("db"))
                .arg("SELECT count(*) FROM t;"),
        );
        assert_eq!(seen, "240\n", "cache={cache}");
    }
}

/// With a rollback journal, locks are all that two users share, and these are held on the host. Whoever has one must see
/// what the last holder did: a mount that keeps something forgets it when it is given a lock.
#[test]
fn a_database_with_a_journal_has_one_writer_on_the_host_and_one_in_the_guest() {
    if !may_mount() {
        return;
    }
    for cache in ["none", "auto"] {
        let mounted = Mounted::start(cache);
        two_writers("delete", [&mounted.host("db"), &mounted.path("db")]);
    }
}

#[test]
fn a_running_program_is_not_truncated() {
    if !may_mount() {
        return;
    }
    for cache in MODES {
        let mounted = Mounted::start(cache);
        let (host, program) = (mounted.host("program"), mounted.path("program"));
        std::fs::copy("/bin/sleep", &host).unwrap();
        let length = host.metadata().unwrap().len();
        let mut running = Command::new(&program).arg("60").spawn().unwrap();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_TRUNC)
            .open(&program);
        let left = host.metadata().unwrap().len();
        running.kill().unwrap();
        running.wait().unwrap();
        let errno = opened.err().and_then(|error| error.raw_os_error());
        assert_eq!(
            (errno, left),
            (Some(libc::ETXTBSY), length),
            "cache={cache}"
        );
    }
}

#[test]
fn direct_cached_and_mapped_access_agree() {
    same_as_native(
        r#"
        cd "$1"
        python3 - <<'END'
import mmap, os

SIZE = 4096
room = mmap.mmap(-1, SIZE)
cached = os.open("file", os.O_RDWR | os.O_CREAT)
os.pwrite(cached, b"a" * 2 * SIZE, 0)
direct = os.open("file", os.O_RDWR | os.O_DIRECT)

def write(letter):
    room[:] = letter * SIZE
    print(os.pwritev(direct, [room], 0), "written directly")

def seen(by):
    os.preadv(direct, [room], 0)
    print(by, room[:1], os.pread(cached, 1, 0))

seen("written by the cache")
write(b"b")
seen("written directly")
shared = mmap.mmap(cached, 2 * SIZE)
shared[0:1] = b"c"
seen("written by a mapping")
write(b"d")
print("the mapping has", shared[:1])
other = mmap.mmap(direct, 2 * SIZE)
other[0:1] = b"e"
seen("written by a mapping of the direct file")
write(b"f")
print("the mappings have", shared[:1], other[:1])
private = mmap.mmap(direct, SIZE, flags=mmap.MAP_PRIVATE)
private[0:1] = b"g"
seen("written by a private mapping")
# The end lies within what a direct transfer has to be a multiple of.
alone = os.open("alone", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
os.ftruncate(alone, SIZE + 100)
tail = mmap.mmap(alone, SIZE + 100)
tail[SIZE:SIZE + 4] = b"tail"
tail.flush()
END
        "#,
    );
}

/// From Linux 6.9 on, which can be told so.
#[test]
fn there_are_no_handles_that_would_go_stale() {
    if !may_mount() {
        return;
    }
    let mounted = Mounted::start("auto");
    std::fs::write(mounted.host("file"), "").unwrap();
    let said = script(
        r#"
        python3 - "$1" <<'END'
import ctypes, os, platform, sys

room = ctypes.create_string_buffer(bytes([128] + [0] * 7) + bytes(128))
libc = ctypes.CDLL(None, use_errno=True)
made = libc.name_to_handle_at(-100, os.fsencode(sys.argv[1]), room, ctypes.byref(ctypes.c_int()), 0)
kernel = tuple(map(int, platform.release().split(".")[:2]))
print(os.strerror(ctypes.get_errno()) if made else "a handle", kernel >= (6, 9))
END
        "#,
        &[&mounted.path("file")],
    );
    assert!(
        ["Operation not supported True\n", "a handle False\n"].contains(&said.as_str()),
        "{said}"
    );
}

/// Their length is told by reading alone, and a kernel asks nobody for what lies behind a file's end.
#[test]
fn files_that_are_made_as_they_are_read_are_read() {
    const FILE: &str = "proc/sys/kernel/ostype";
    if !may_mount() {
        return;
    }
    for cache in MODES {
        let exports = json!({"exports": [{"path": "/"}]});
        let mounted = Mounted::configured(|_| exports, &format!("cache={cache}"));
        let text = std::fs::read_to_string(mounted.mountpoint().join(FILE));
        assert_eq!(text.expect("there").as_str(), "Linux\n", "cache={cache}");
    }
}

//! Watches in a view that holds no proc, and their bounds: one guest must not take the host's watches.

use hostcall::client::Client;
use hostcall::ops::Calls;
use hostcall::types::{DirFd, Errno, Mode, Offset, OpenFlags, RemoteFd, RwFlags};
use hostcall::wire::Sink;
use hostcall_tests::daemon::{eventually, leave, Daemon};
use hostcall_tests::soon::soon;
use hostd::calls::watch::{MOST_INSTANCES, MOST_WATCHES};
use std::ffi::CString;
use std::path::Path;
use std::time::{Duration, Instant};

fn path_of(client: &Client, path: &Path) -> Result<RemoteFd, Errno> {
    let path = CString::new(path.to_str().expect("a plain name")).expect("no NUL");
    let opened = client.openat(DirFd::CWD, &path, OpenFlags(libc::O_PATH), Mode(0));
    opened.map(|reply| reply.fd)
}

fn instance(client: &Client) -> RemoteFd {
    client.watch_open(0).expect("an instance").fd
}

fn close(client: &Client, fd: RemoteFd) {
    client.close(fd).expect("open");
}

/// Watches each of the files until that fails.
fn watch_all(client: &Client, fd: RemoteFd, files: &[std::path::PathBuf]) -> (u32, Option<Errno>) {
    for (count, file) in files.iter().enumerate() {
        let target = path_of(client, file).expect("a file");
        let added = client.watch_add(fd, target, libc::IN_ATTRIB);
        close(client, target);
        if let Err(errno) = added {
            return (count as u32, Some(errno));
        }
    }
    (files.len() as u32, None)
}

#[test]
fn what_the_host_does_is_told_at_once() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let dir = path_of(&client, &daemon.directory.join("export")).expect("the export");
    let fd = instance(&client);
    let watch = client
        .watch_add(fd, dir, libc::IN_CREATE)
        .expect("a watch")
        .descriptor;
    let file = daemon.export("new");
    soon("an event", Duration::from_millis(100), || {
        let path = file.clone();
        let writer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            std::fs::write(path, "x").expect("the export is writable");
            Instant::now()
        });
        let mut room = [0; 512];
        let filled = client
            .read(fd, Offset::CURRENT, RwFlags(0), Sink::new(&mut room))
            .expect("an event")
            .filled
            .0;
        let told = Instant::now();
        let made = writer.join().expect("the writer");
        assert_eq!(
            room[..4],
            watch.to_ne_bytes(),
            "the event names the watch that was made"
        );
        assert!(
            room[16..filled].starts_with(b"new\0"),
            "{:?}",
            &room[..filled]
        );
        std::fs::remove_file(&file).expect("it is there");
        told.saturating_duration_since(made)
    });
    leave(client);
}

#[test]
fn an_instance_has_one_holder() {
    let daemon = Daemon::start();
    let client = daemon.attach();
    let fd = instance(&client);
    let invalid = Some(Errno(libc::EINVAL));
    assert_eq!(client.dup(fd, OpenFlags(0)).err(), invalid);
    assert_eq!(client.share(fd).err(), invalid);
    let token = client.fork_session().expect("a child's session").token;
    let child = daemon.try_attach(Some(token)).expect("the child");
    let mut room = [0; 64];
    let read = child.read(fd, Offset::CURRENT, RwFlags(0), Sink::new(&mut room));
    assert_eq!(read.err(), Some(Errno(libc::EBADF)));
    for _ in 1..MOST_INSTANCES {
        instance(&client);
    }
    assert_eq!(client.watch_open(0).err(), Some(Errno(libc::EMFILE)));
    close(&client, fd);
    instance(&client);
    leave(child);
    leave(client);
}

#[test]
fn a_guest_has_so_many_watches_and_gets_them_back() {
    let daemon = Daemon::start();
    let files: Vec<_> = (0..=MOST_WATCHES)
        .map(|number| daemon.export(&number.to_string()))
        .collect();
    for file in &files {
        std::fs::write(file, "").expect("a file");
    }
    let (first, second) = (daemon.attach(), daemon.attach());
    let full = Some(Errno(libc::ENOSPC));
    let fd = instance(&first);
    assert_eq!(watch_all(&first, fd, &files), (MOST_WATCHES, full));
    // A file that is watched already takes no further watch, but the guest has none to try with.
    let other = instance(&second);
    assert_eq!(watch_all(&second, other, &files[..1]), (0, full));

    // One that ends with its file is free once that has been read.
    std::fs::remove_file(&files[100]).expect("it is there");
    let mut room = [0; 4096];
    let read = first.read(fd, Offset::CURRENT, RwFlags(0), Sink::new(&mut room));
    assert_eq!(
        read.map(|reply| reply.filled.0),
        Ok(2 * 16),
        "IN_ATTRIB and IN_IGNORED"
    );
    assert_eq!(watch_all(&second, other, &files[..2]), (1, full));
    assert_eq!(second.watch_remove(other, 1).err(), None);

    // So many remain: one more is removed, and its last event takes nothing away.
    assert_eq!(
        watch_all(&first, fd, &files[MOST_WATCHES as usize..]),
        (1, None)
    );
    first.watch_remove(fd, 1).expect("the first watch");
    let read = first.read(fd, Offset::CURRENT, RwFlags(0), Sink::new(&mut room));
    assert_eq!(read.map(|reply| reply.filled.0), Ok(16), "IN_IGNORED");
    assert_eq!(watch_all(&second, other, &files[..2]), (1, full));
    close(&second, other);
    let other = instance(&second);
    assert_eq!(watch_all(&second, other, &files[..1]), (1, None));

    leave(first);
    eventually("the watches of a dead process are free again", || {
        watch_all(&second, other, &files[..100]) == (100, None)
    });
    leave(second);
}

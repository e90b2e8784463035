//! A file system of the host's whose server does not answer holds up those who use it, and neither hostd nor other guests.

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, ReplyAttr, ReplyEmpty, ReplyEntry, Request,
};
use hostcall::client::Client;
use hostcall::ops::{Calls, Op};
use hostcall::types::{DirFd, Mode, OpenFlags, RemoteFd};
use hostcall::wire::Message;
use hostcall_tests::daemon::{eventually, exports, Daemon, PATIENCE};
use hostcall_tests::generator::{self, Choices};
use hostcall_tests::peer::Peer;
use hostcall_tests::witness::c;
use serde_json::{json, Value};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

/// Holds one file, and whoever closes it.
struct Hung(Mutex<Sender<ReplyEmpty>>);

/// How long the kernel need not ask again.
const HOUR: Duration = Duration::from_secs(3600);

const FILE: INodeNo = INodeNo(2);

fn attr(ino: INodeNo) -> FileAttr {
    let (kind, perm) = match ino {
        FILE => (FileType::RegularFile, 0o644),
        _ => (FileType::Directory, 0o755),
    };
    FileAttr {
        ino,
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Hung {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name == "file" {
            true => reply.entry(&HOUR, &attr(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&HOUR, &attr(ino));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        let held = self.0.lock().expect("no panic").send(reply);
        // The test is over.
        held.unwrap_or_else(|reply| reply.0.ok());
    }
}

fn open(client: &Client, path: &Path, flags: i32) -> RemoteFd {
    let flags = OpenFlags(flags | libc::O_CLOEXEC);
    let opened = client.openat(DirFd::CWD, &c(path), flags, Mode(0o600));
    opened.expect("opened").fd
}

/// A daemon whose guest has a file that hangs who closes it, and those who do.
struct Place {
    closing: Receiver<ReplyEmpty>,
    mount: BackgroundSession,
    daemon: Daemon,
}

fn place(limits: Value) -> Place {
    let (held, closing) = channel();
    let mut mount = None;
    let daemon = Daemon::configured(|directory| {
        let place = directory.join("export/hung");
        std::fs::create_dir(&place).expect("a mount point");
        let server = Hung(Mutex::new(held));
        mount = Some(fuser::spawn_mount(server, &place, &Config::default()).expect("mounted"));
        json!({"exports": exports(directory), "limits": limits})
    });
    Place {
        closing,
        mount: mount.expect("mounted"),
        daemon,
    }
}

impl Place {
    /// The end of all: before the directory goes, what is mounted there does.
    fn leave(self) {
        let Place {
            closing,
            mount,
            daemon,
        } = self;
        drop(closing);
        drop(mount);
        drop(daemon);
    }
}

/// A guest's processes hand files to each other by hostd, which must not wait for what closing its descriptors of them takes.
#[test]
fn hostd_waits_for_no_file_that_it_has_passed_on() {
    let place = place(json!({}));
    let daemon = &place.daemon;
    let (giver, taker) = (daemon.attach(), daemon.attach());
    let hung = open(&giver, &daemon.export("hung/file"), libc::O_RDONLY);
    let token = giver.share(hung).expect("shared").token;
    taker
        .redeem(token, OpenFlags(libc::O_CLOEXEC))
        .expect("had");
    let flush = place.closing.recv_timeout(PATIENCE);
    let flush = flush.expect("somebody closes it");
    let (done, heard) = channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = open(
                &giver,
                &daemon.export("other"),
                libc::O_CREAT | libc::O_RDWR,
            );
            let token = giver.share(other).expect("hostd answers").token;
            taker.redeem(token, OpenFlags(0)).expect("the same");
            let _ = done.send(());
        });
        let answered = heard.recv_timeout(PATIENCE);
        // Who hangs goes on, whatever comes of this.
        flush.ok();
        assert!(answered.is_ok(), "hostd waits for a file system that hangs");
    });
    drop((giver, taker));
    place.leave();
}

/// The fields of an `openat` that reads a file.
struct Reads<'p>(&'p Path, std::vec::IntoIter<u64>);

impl Choices for Reads<'_> {
    fn word(&mut self) -> u64 {
        self.1.next().expect("a field")
    }

    fn path(&mut self) -> Vec<u8> {
        self.0.as_os_str().as_encoded_bytes().to_vec()
    }

    fn bytes(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// A shadow that is to end hangs in the kernel as long as the file that it has open cannot be closed, and hostd can do nothing about
/// it but start no more.
#[test]
fn shadows_that_cannot_end_count_against_their_guest() {
    const MANY: usize = 40;
    let place = place(json!({"processes": 2}));
    let file = place.daemon.export("hung/file");
    let mut closing = Vec::new();
    let mut leaves_one = || {
        let Some(mut peer) = Peer::attach(place.daemon.socket()) else {
            return false;
        };
        let words = vec![DirFd::CWD.0 as u32 as u64, libc::O_RDONLY as u64, 0];
        let mut fields = Reads(&file, words.into_iter());
        let open = generator::call(Op::Openat, &mut fields, peer.arena());
        peer.send(open);
        assert_eq!(peer.reply(PATIENCE).map(|reply| reply.code), Some(0));
        // No call: hostd ends the session.
        peer.send(Message::default());
        let flush = place.closing.recv_timeout(PATIENCE);
        closing.push(flush.expect("the shadow ends"));
        true
    };
    let left = (0..MANY).take_while(|_| leaves_one()).count();
    // All go on.
    closing.into_iter().for_each(ReplyEmpty::ok);
    assert!((2..MANY).contains(&left), "{left} shadows of 2 processes");
    eventually("the guest is served again", || {
        Peer::attach(place.daemon.socket()).is_some()
    });
    place.leave();
}

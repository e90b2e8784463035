//! Boots a bare guest, without the host calls: `boot local|uml [--root DIR] [--mem MIB] [-- COMMAND…]`.

use hostd::guest::{init, start, Attach, Kind, Launch, Status};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

fn main() {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == "guest-init")
    {
        init::main(|| {});
    }
    let mut words = std::env::args_os().skip(1);
    let kind = match words.next().as_deref().and_then(|word| word.to_str()) {
        Some("local") => Kind::Local,
        Some("uml") => Kind::Uml,
        _ => Kind::auto(),
    };
    let (mut root, mut mem_mib) = (None, 256);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--root") => root = words.next().map(PathBuf::from),
            Some("--mem") => {
                mem_mib = words
                    .next()
                    .and_then(|size| size.to_str()?.parse().ok())
                    .unwrap_or(0)
            }
            _ => break,
        }
    }
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |time| time.as_nanos());
    let socket = std::env::temp_dir().join(format!("boot-{}-{now}.sock", std::process::id()));
    let listener = UnixListener::bind(&socket).expect("bind the socket");
    let (mut bell, bell_line) = UnixStream::pair().expect("make the doorbell");
    // Echoes the doorbell, so that a test sees both directions.
    std::thread::spawn(move || {
        let mut writer = bell.try_clone().expect("dup");
        std::io::copy(&mut bell, &mut writer)
    });
    let attach = match kind {
        Kind::Local => Attach::Socket(socket.clone()),
        Kind::Uml => {
            let region =
                nix::sys::memfd::memfd_create("region", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
                    .expect("memfd");
            nix::unistd::ftruncate(&region, 1 << 20).expect("size the region");
            nix::sys::uio::pwrite(&region, b"region-of-the-host", 4096).expect("mark the region");
            Attach::Device {
                region,
                doorbell: bell_line.into(),
            }
        }
    };
    let launch = Launch {
        texts: Vec::new(),
        kind,
        root,
        mem_mib,
        prefix: "/host".into(),
        hostfs: Vec::new(),
        command: words.collect(),
        env: vec![("BOOT".into(), "yes".into())],
        links: Vec::new(),
        files: vec![("/proc/self/exe".into(), "/run/hostcall/lib/copy".into())],
        attach,
        grace: Duration::from_secs(10),
    };
    let result = start(launch).and_then(|running| running.wait());
    drop(listener);
    let _ = std::fs::remove_file(&socket);
    match result {
        Ok(Status::Code(code)) => std::process::exit(code),
        Ok(Status::Signal(number)) => {
            eprintln!("boot: ended by signal {number}");
            std::process::exit(128 + number)
        }
        Err(error) => {
            eprintln!("boot: {error}");
            std::process::exit(125)
        }
    }
}

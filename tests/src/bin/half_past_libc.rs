//! `half_past_libc DIRECTORY`: works on files there by std, which calls libc, and by rustix, which enters the kernel by itself, in turns.
#![deny(unsafe_code)]

use rustix::fs::{self, AtFlags, FallocateFlags, FlockOperation, Mode, OFlags, SeekFrom};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

fn main() -> io::Result<()> {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("usage: half_past_libc DIRECTORY");
        std::process::exit(2);
    };
    let directory = Path::new(&directory);
    of_std(directory)?;
    of_rustix(directory)?;
    below_a_directory(directory)?;
    by_threads(directory)
}

/// Files that std opens.
fn of_std(directory: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let path = directory.join("of-std");
    let mut file = options.read(true).write(true).create(true).open(&path)?;
    println!("written {}", rustix::io::write(&file, b"some text")?);
    println!("at {}", file.stream_position()?);
    println!("sought {}", fs::seek(&file, SeekFrom::Start(5))?);
    let mut rest = String::new();
    println!("read {} {rest}", file.read_to_string(&mut rest)?);
    fs::fallocate(&file, FallocateFlags::empty(), 0, 4096)?;
    println!("size {}", fs::fstat(&file)?.st_size);
    fs::ftruncate(&file, 4)?;
    println!("size {}", file.metadata()?.len());
    fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let other = File::open(&path)?;
    let refused = fs::flock(&other, FlockOperation::NonBlockingLockExclusive);
    println!("locked {refused:?}, {}", file.try_lock().is_ok());
    fs::fchmod(&file, Mode::RUSR)?;
    println!("read-only {}", file.metadata()?.permissions().readonly());
    let copy = rustix::io::dup(&file)?;
    println!("copy {}", fs::tell(&copy)?);
    Ok(())
}

/// Files that rustix opens.
fn of_rustix(directory: &Path) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::RDWR;
    let own: OwnedFd = fs::open(directory.join("of-rustix"), flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(own);
    file.write_all(b"twice")?;
    let mut text = [0; 5];
    println!("read {}", rustix::io::pread(&file, &mut text, 0)?);
    println!("text {}", text.escape_ascii());
    file.set_len(2)?;
    println!("size {}", fs::fstat(&file)?.st_size);
    Ok(())
}

fn below_a_directory(directory: &Path) -> io::Result<()> {
    let at = File::open(directory)?;
    fs::mkdirat(&at, "made", Mode::RWXU)?;
    let inner = fs::openat(&at, "made", OFlags::DIRECTORY, Mode::empty())?;
    fs::renameat(&at, "of-rustix", &inner, "moved")?;
    println!(
        "size {}",
        fs::statat(&inner, "moved", AtFlags::empty())?.st_size
    );
    let mut names: Vec<_> = fs::Dir::read_from(&at)?
        .map(|entry| Ok(entry?.file_name().to_owned()))
        .collect::<rustix::io::Result<_>>()?;
    names.sort();
    println!("names {names:?}");
    println!("again {:?}", fs::mkdirat(&at, "made", Mode::RWXU));
    Ok(())
}

fn by_threads(directory: &Path) -> io::Result<()> {
    let file = File::create(directory.join("shared"))?;
    thread::scope(|scope| {
        for number in 0..4u8 {
            let file = &file;
            scope.spawn(move || {
                for turn in 0..200 {
                    let place = turn * 4 + u64::from(number);
                    let written = rustix::io::pwrite(file, &[b'a' + number], place);
                    assert_eq!(written, Ok(1));
                }
            });
        }
    });
    let text = std::fs::read_to_string(directory.join("shared"))?;
    println!("shared {} {}", text.len(), text == "abcd".repeat(200));
    Ok(())
}

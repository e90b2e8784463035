//! Forks in a guest with its own kernel: what all its processes share with the host is not copied for a child.
#![cfg(target_arch = "x86_64")]

use hostcall_tests::daemon::{program, Scratch};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A child by libc's fork, and after it one by an instruction of the program's own, which this library hears of only when the child
/// calls the host. By then that has something else where its parent's region is.
const SCRIPT: &str = r#"
import ctypes, mmap, os, sys

def regions():
    with open('/proc/self/maps') as maps:
        lines = [line.split() for line in maps]
    spans = [line[0].split('-') for line in lines if line[-1] == '/dev/mmapper']
    return [(int(start, 16), int(end, 16)) for start, end in spans]

def end_of(child):
    status = os.waitpid(child, 0)[1]
    if status != 0:
        sys.exit(f'a child ended by {status}')

directory = sys.argv[1]
os.stat(directory)
(start, end), = regions()
child = os.fork()
if child == 0:
    os._exit(len(regions()))
end_of(child)

code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b'\xb8\x39\x00\x00\x00\x0f\x05\xc3')
fork = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
child = fork()
if child == 0:
    if regions():
        os._exit(1)
    FIXED_NOREPLACE = 0x100000
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | FIXED_NOREPLACE
    if libc.mmap(start, 4096, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) != start:
        os._exit(2)
    ctypes.memset(start, 7, 4096)
    os.stat(directory)
    os._exit(0 if ctypes.string_at(start, 4096) == b'\x07' * 4096 else 3)
end_of(child)
os.stat(directory)
print('done')
"#;

#[test]
fn a_child_has_no_copy_of_the_guests_region_and_keeps_what_is_in_its_place() {
    if !Path::new("/usr/bin/linux.uml").exists() {
        return eprintln!("skipped: user-mode-linux is not installed");
    }
    let scratch = Scratch::new();
    let script = scratch.join("script.py");
    fs::write(&script, SCRIPT).expect("a script");
    let seen = |path: &Path| Path::new("/host").join(path.strip_prefix("/").expect("absolute"));
    let output = Command::new(program("hostd"))
        .args(["run", "--guest", "uml", "--no-mount", "--", "python3"])
        .args([seen(&script), seen(&scratch)])
        .stdin(Stdio::null())
        .output()
        .expect("hostd runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (text(&output.stdout).as_str(), text(&output.stderr).as_str()),
        ("done\n", "")
    );
}

"""System calls that libc has no function for, relative to an open directory."""

import ctypes, errno, os

OPENAT2, FCHMODAT2, FUTIMESAT, READAHEAD = 437, 452, 261, 187
NO_SYMLINKS, BENEATH, IN_ROOT = 4, 8, 16
libc = ctypes.CDLL(None, use_errno=True)
os.makedirs('d/e')
open('d/f', 'w').write('inside')
open('f', 'w').write('outside')
os.symlink('f', 'd/link')
os.symlink('../f', 'd/out')
directory = os.open('d', os.O_RDONLY)
path = os.open('d', os.O_PATH)


def call(*arguments):
    answer = libc.syscall(*arguments)
    return (answer, '') if answer != -1 else (-1, os.strerror(ctypes.get_errno()))


def opened(at, name, flags=0, mode=0, resolve=0, size=24):
    how = (ctypes.c_uint64 * 3)(flags, mode, resolve)
    fd, why = -1, os.strerror(errno.EAGAIN)
    # A mount or a renaming anywhere may be why the kernel cannot tell where `..` leads: openat2(2) says to try again.
    while why == os.strerror(errno.EAGAIN):
        fd, why = call(OPENAT2, at, name, how, ctypes.c_size_t(size))
    if fd == -1:
        return why
    with os.fdopen(fd, 'r+' if flags & os.O_RDWR else 'r') as file:
        return os.get_inheritable(fd), file.read()


for at in directory, path, -100:
    print(opened(at, b'f'), opened(at, b'missing'), opened(at, b'../f'), opened(at, b'link'))
    print(opened(at, b'link', resolve=NO_SYMLINKS), opened(at, b'../f', resolve=BENEATH))
    print(opened(at, b'out', resolve=BENEATH), opened(at, b'out', resolve=IN_ROOT), opened(at, b'/f', resolve=IN_ROOT))
    print(opened(at, b'f', mode=0o600), opened(at, b'f', size=8), opened(at, b'f', resolve=1 << 40))
print(opened(directory, b'new', os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640), oct(os.stat('d/new').st_mode))
print(opened(os.open('f', os.O_RDONLY), b'x'), opened(99, b'f'))

print(call(FCHMODAT2, directory, b'f', 0o604, 0), call(FCHMODAT2, directory, b'missing', 0o600, 0))
print(call(FCHMODAT2, os.open('d/f', os.O_PATH), b'', 0o614, 0x1000), oct(os.stat('d/f').st_mode))
times = (ctypes.c_long * 4)(1000, 0, 2000, 0)
print(call(FUTIMESAT, directory, b'f', times), os.stat('d/f').st_mtime, call(FUTIMESAT, directory, b'missing', times))
print(call(READAHEAD, directory, ctypes.c_long(0), 1), call(READAHEAD, os.open('f', os.O_RDONLY), ctypes.c_long(0), 1))
os.chdir('d')
print(opened(-100, b'f'), opened(-100, b'../f', resolve=BENEATH))

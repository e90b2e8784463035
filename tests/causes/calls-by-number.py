"""syscall(2) on files, by the numbers of x86-64; and what it answers of others."""

import ctypes, os, platform

if platform.machine() != 'x86_64':
    raise SystemExit
libc = ctypes.CDLL(None, use_errno=True)
OPENAT, CLOSE, READ, WRITE, PREAD, LSEEK, FTRUNCATE, STATX = 257, 3, 0, 1, 17, 8, 77, 332
MKDIR, RENAME, CHDIR, GETCWD, GETPID = 83, 82, 80, 79, 39
room = ctypes.create_string_buffer(4096)


def call(number, *arguments):
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    answer = libc.syscall(ctypes.c_long(number), *words)
    return answer if answer >= 0 else os.strerror(ctypes.get_errno())


with open('f', 'w') as f:
    f.write('1\n2\n3\n4\n5\n')
fd = call(OPENAT, -100, b'f', os.O_RDWR, 0)
print(call(PREAD, fd, room, 4, 2), room.raw[:4], call(LSEEK, fd, 0, 2), call(WRITE, fd, b'end', 3))
print(call(FTRUNCATE, fd, 20), call(STATX, fd, b'', 0x1000, 0x7FF, room), int.from_bytes(room.raw[40:48], 'little'))
print(call(MKDIR, b'd', 0o700), call(RENAME, b'f', b'd/g'), call(CHDIR, b'd'))
print(call(GETCWD, room, 4096) == len(os.getcwd()) + 1, room.value.endswith(b'/d'), call(GETCWD, room, 2))
print(call(OPENAT, -100, b'none', 0, 0), call(GETPID) == os.getpid(), call(9999))
print(call(CLOSE, fd), call(CLOSE, fd), call(READ, fd, room, 1))

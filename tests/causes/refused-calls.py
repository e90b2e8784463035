"""Calls that the kernel refuses by what a descriptor is: closed, only a path, a directory, open for writing only."""

import ctypes, fcntl, os, select

libc = ctypes.CDLL(None, use_errno=True)
os.mkdir('d')
open('f', 'w').close()


def refused(name, call):
    try:
        print(name, call())
    except (OSError, ValueError) as error:
        print(name, error)


def called(function, *arguments):
    ctypes.set_errno(0)
    answer = function(*arguments)
    if answer == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


path = os.open('f', os.O_PATH)
refused('fchown', lambda: os.fchown(path, 0, 0))
refused('ioctl', lambda: fcntl.ioctl(path, 0x5401, bytes(64)))
refused('ioctl of a file', lambda: fcntl.ioctl(os.open('f', os.O_RDONLY), 0x5401, bytes(64)))
refused('fchmod', lambda: os.fchmod(path, 0o600))
refused('fchownat', lambda: called(libc.fchownat, path, b'', 0, 0, 0x1000))
refused('fchownat without the flag', lambda: called(libc.fchownat, path, b'', 0, 0, 0))
refused('epoll', lambda: select.epoll().register(path))
refused('epoll of a file', lambda: select.epoll().register(os.open('f', os.O_RDONLY)))

file = os.open('f', os.O_RDONLY)
print(select.select([file], [file], [], 0) == ([file], [file], []))


def closed():
    """A number that was a file's a moment ago."""
    file = os.open('f', os.O_RDONLY)
    os.close(file)
    return file


refused('select', lambda: select.select([closed()], [], [], 0))
refused('poll', lambda: (lambda p: (p.register(closed(), 1), p.poll(0)[0][1])[1])(select.poll()))
for name in 'fchdir', 'fstat', 'fstatvfs', 'fpathconf', 'fsync', 'dup', 'lseek', 'listdir', 'fchmod', 'get_inheritable':
    arguments = {'fpathconf': ('PC_NAME_MAX',), 'lseek': (0, 0), 'fchmod': (0o600,)}.get(name, ())
    refused(name, lambda: getattr(os, name)(closed(), *arguments))
refused('fstatfs', lambda: called(libc.fstatfs, closed(), bytes(256)))
refused('openat', lambda: os.open('f', os.O_RDONLY, dir_fd=closed()))

offset = ctypes.c_long
for name, flags in ('f', os.O_RDONLY), ('f', os.O_WRONLY), ('d', os.O_RDONLY), ('f', os.O_PATH):
    file = os.open(name, flags)
    refused('readahead', lambda: called(libc.readahead, file, offset(0), 1))
for start, length, flags in (0, 1, 2), (-1, 1, 1), (0, -1, 2), (0, 1, 8), ((1 << 63) - 1, 2, 2):
    file = os.open('f', os.O_RDWR)
    refused('sync_file_range', lambda: called(libc.sync_file_range, file, offset(start), offset(length), flags))

os.symlink('b', 'a')
os.symlink('a', 'b')
for name in 'missing', '', 'f/f', 'a', 'n' * 300:
    refused('pathconf', lambda: os.pathconf(name, 'PC_NAME_MAX'))
    refused('pathconf', lambda: os.pathconf(name, 'PC_PIPE_BUF') if name else 4096)
print(os.pathconf('f', 'PC_NAME_MAX'))

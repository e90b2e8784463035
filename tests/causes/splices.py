"""splice(2) and sendfile(2) between files and pipes, with offsets and without, and what they refuse."""

import fcntl, os

with open('f', 'w') as f:
    f.writelines(f'{n}\n' for n in range(99))
r, w = os.pipe()
f = os.open('f', os.O_RDWR)
print(os.splice(f, w, 10, offset_src=4), os.read(r, 99))
print(os.splice(f, w, 5), os.read(r, 99), os.lseek(f, 0, os.SEEK_CUR))
print(os.write(w, b'pour'), os.splice(r, f, 99, offset_dst=2), os.pread(f, 9, 0))

# What a full pipe holds goes in one call, more than what it holds is not waited for.
fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 1 << 17)
text = bytes(range(256)) * 512
print(os.write(w, text), os.splice(r, f, 1 << 20, offset_dst=7), os.pread(f, 1 << 20, 7)[:len(text)] == text)

reader = os.open('f', os.O_RDONLY)
writer = os.open('g', os.O_WRONLY | os.O_CREAT)
appender = os.open('g', os.O_WRONLY | os.O_APPEND)
path = os.open('f', os.O_PATH)
directory = os.open('.', os.O_RDONLY)
empty = os.open('empty', os.O_RDONLY | os.O_CREAT)
files = {'reader': reader, 'writer': writer, 'appender': appender, 'path': path, 'directory': directory, 'closed': 99}


def refused(name, call):
    try:
        print(name, call())
    except OSError as error:
        print(name, error)


refused('file to file', lambda: os.splice(f, f, 1))
refused('place in a pipe', lambda: os.splice(f, w, 1, offset_dst=0))
for name, file in files.items():
    # A pipe without a byte in it, and one that keeps what is not taken.
    if name != 'writer':
        refused(f'empty pipe to {name}', lambda: os.splice(r, file, 4, flags=os.SPLICE_F_NONBLOCK))
        os.write(w, b'kept')
        refused(f'pipe to {name}', lambda: os.splice(r, file, 4))
        print(os.read(r, 99))
    refused(f'{name} to the end that is read', lambda: os.splice(file, r, 4))
    if name not in ('reader', 'directory'):
        refused(f'{name} to pipe', lambda: os.splice(file, w, 4))
    for source, text in (f, 'a file'), (empty, 'an empty file'), (directory, 'a directory'):
        refused(f'{text} sent to {name}', lambda: os.sendfile(file, source, 0, 4))
refused('nothing', lambda: os.splice(r, writer, 4, flags=os.SPLICE_F_NONBLOCK))
refused('writer', lambda: os.sendfile(writer, writer, None, 4))
os.set_blocking(w, False)
refused('full', lambda: os.write(w, bytes(1 << 17)))
refused('into a full pipe', lambda: os.splice(f, w, 4, flags=os.SPLICE_F_NONBLOCK))

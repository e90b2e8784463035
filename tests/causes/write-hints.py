"""How long a file's data will live (F_SET_RW_HINT): remembered by the file, for each descriptor of it, and who may not tell."""

import fcntl, os, struct

GET, SET = 1035, 1036


def hint(file):
    return struct.unpack('Q', fcntl.fcntl(file, GET, bytes(8)))[0]


def tried(name, call):
    try:
        print(name, call())
    except OSError as error:
        print(name, error)


f = os.open('f', os.O_RDWR | os.O_CREAT)
other = os.open('f', os.O_RDONLY)
print(hint(f))
for value in 5, 2, 0, 6, 1 << 32 | 3, (1 << 64) - 1:
    tried(f'set {value:x}', lambda: fcntl.fcntl(f, SET, struct.pack('Q', value)))
    print(hint(f), hint(other))
for command in GET, SET:
    tried(f'{command} without a place', lambda: fcntl.fcntl(f, command, 0))
for name, flags in ('reader', os.O_RDONLY), ('path', os.O_PATH), ('directory', os.O_DIRECTORY):
    file = os.open('.' if name == 'directory' else 'f', flags)
    tried(f'get of a {name}', lambda: hint(file))
    tried(f'set of a {name}', lambda: fcntl.fcntl(file, SET, struct.pack('Q', 4)))
    tried(f'{name} now', lambda: hint(file))

"""What has confined itself, landlock(7), reaches on the host what its rules allow and no more, and so does what it starts."""

import ctypes, errno, os, struct, subprocess

libc = ctypes.CDLL(None, use_errno=True)
CREATE, ADD, RESTRICT = 444, 445, 446
NO_NEW_PRIVILEGES = 38
WRITE, READ, LIST, MAKE = 1 << 1, 1 << 2, 1 << 3, 1 << 8


def call(*words):
    if (answer := libc.syscall(*words)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def attempt(what, act):
    try:
        print(what, act())
    except OSError as error:
        print(what, error.strerror)


def allow(ruleset, path, rights):
    parent = os.open(path, os.O_PATH)
    call(ADD, ruleset, 1, struct.pack('=Qi', rights, parent), 0)
    os.close(parent)


def content(path, **how):
    fd = os.open(path, os.O_RDONLY, **how)
    text = os.read(fd, 99)
    os.close(fd)
    return text


for place in ('inner', 'outer'):
    os.mkdir(place)
    with open(f'{place}/f', 'w') as file:
        file.write(place)
kept = os.open('outer/kept', os.O_RDWR | os.O_CREAT)
listed, named = os.open('outer', os.O_RDONLY), os.open('outer', os.O_PATH)
try:
    ruleset = call(CREATE, struct.pack('Q', WRITE | READ | LIST | MAKE), 8, 0)
    for system in ('/usr', '/lib', '/lib64', '/bin', '/etc', '/proc'):
        allow(ruleset, system, READ | LIST)
    allow(ruleset, 'inner', WRITE | READ | LIST | MAKE)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    call(RESTRICT, ruleset, 0)
except OSError as error:
    if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP):
        raise
    os._exit(0)
attempt('read inside', lambda: content('inner/f'))
attempt('read outside', lambda: content('outer/f'))
attempt('read from an open directory', lambda: content('f', dir_fd=listed))
attempt('read from a named directory', lambda: content('f', dir_fd=named))
attempt('list inside', lambda: os.listdir('inner'))
attempt('list outside', lambda: os.listdir('outer'))
attempt('make inside', lambda: os.close(os.open('inner/made', os.O_WRONLY | os.O_CREAT)))
attempt('make outside', lambda: os.close(os.open('outer/made', os.O_WRONLY | os.O_CREAT)))
attempt('write what is open', lambda: (os.write(kept, b'more'), os.pread(kept, 9, 0)))
for program in (['cat', 'inner/f'], ['cat', 'outer/f'], ['sh', '-c', 'cat outer/f; cat inner/f']):
    print(subprocess.run(program).returncode)
os.system('cat outer/f')
if os.fork() == 0:
    attempt('read in a child', lambda: content('outer/f'))
    os._exit(0)
os.wait()
os.chdir('inner')
attempt('read from another directory', lambda: content('f'))
attempt('read above', lambda: content('../outer/f'))

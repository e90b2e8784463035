"""Locks taken before and changed after a file was mapped, as another process finds them."""

import fcntl, mmap, subprocess

HOW = 'fcntl.flock(f, 6)', 'fcntl.lockf(f, 6, 1, 9)', 'fcntl.lockf(f, 6, 1, 0)'


def free():
    ask = 'import fcntl; f = open("m", "r+b"); '
    return [not subprocess.run(['/usr/bin/python3', '-c', ask + how], capture_output=True).returncode for how in HOW]


with open('m', 'wb') as f:
    f.write(bytes(5000))
f = open('m', 'r+b')
fcntl.flock(f, fcntl.LOCK_EX)
fcntl.lockf(f, fcntl.LOCK_EX, 5, 7)
print(free())
m = mmap.mmap(f.fileno(), 0)
print(free())
fcntl.lockf(f, fcntl.LOCK_UN, 1, 9)
fcntl.lockf(f, fcntl.LOCK_SH, 1, 7)
print(free())
fcntl.flock(f, fcntl.LOCK_UN)
print(free())
m.close()
f.close()
print(free())

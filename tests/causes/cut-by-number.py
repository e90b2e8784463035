"""truncate(2) by the number of an open file leaves the process its record locks on it."""

import fcntl
import os

fd = os.open("locked", os.O_RDWR | os.O_CREAT, 0o600)
os.write(fd, b"0123456789")
fcntl.lockf(fd, fcntl.LOCK_EX)
os.truncate(f"/dev/fd/{fd}", 3)
print(os.stat("locked").st_size)
child = os.fork()
if child == 0:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os._exit(1)
    except BlockingIOError:
        os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
reading = os.open("locked", os.O_RDONLY)
os.truncate(f"/proc/self/fd/{reading}", 1)
print(os.stat("locked").st_size)

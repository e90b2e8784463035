"""An open file passed over a socket is the same open file there; its lock ends with its last user."""

import fcntl, os, socket, time

with open('f', 'w') as f:
    f.write('1\n2\n3\n4\n5\n6\n7\n8\n9\n')
here, there = socket.socketpair(socket.AF_UNIX)
if os.fork() == 0:
    fd = socket.recv_fds(there, 1, 1)[1][0]
    print(os.read(fd, 4))
    os.write(fd, b'child')
    os._exit(0)
fd = os.open('f', os.O_RDWR)
os.read(fd, 4)
fcntl.flock(fd, fcntl.LOCK_EX)
socket.send_fds(here, [b'x'], [fd])
os.wait()
print(os.read(fd, 3))
os.close(fd)
time.sleep(0.5)
with open('f') as f:
    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print(f.read())

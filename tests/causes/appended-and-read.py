"""What is written to the end of an open file of the mount moves its position: to go back to the beginning is a seek."""

import os, socket

here, there = socket.socketpair(socket.AF_UNIX)
fd = os.open('f', os.O_RDWR | os.O_CREAT | os.O_APPEND)
socket.send_fds(here, [b'x'], [fd])
os.write(fd, b'one')
os.lseek(fd, 0, os.SEEK_SET)
print(os.read(fd, 9))
os.pwrite(fd, b'two', 0)
print(os.read(fd, 9), os.pread(fd, 9, 0))
os.lseek(fd, 1, os.SEEK_SET)
os.write(fd, b'three')
print(os.lseek(fd, 0, os.SEEK_CUR), os.read(fd, 9))
os.lseek(fd, 0, os.SEEK_SET)
print(os.read(fd, 99))

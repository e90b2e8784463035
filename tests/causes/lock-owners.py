"""Who holds a lock: nobody that a number of this side could mean, unless it is a process of this side."""

import fcntl, os, struct


def asked(file, command):
    answer = fcntl.fcntl(file, command, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))
    kind, whence, start, length, pid = struct.unpack('hhqqi4x', answer)
    # Another PID namespace's processes are 0, a description's lock is nobody's.
    return kind, whence, start, length, pid in (os.getppid(), 0) if kind != fcntl.F_UNLCK else None, pid == -1


with open('f', 'w') as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 10, 5)
    if os.fork() == 0:
        with open('f', 'r+') as other:
            print(asked(other, fcntl.F_GETLK), flush=True)
        os._exit(0)
    os.wait()
    fcntl.lockf(file, fcntl.LOCK_UN)
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 5, 10, 0))
    with open('f', 'r+') as other:
        print(asked(other, fcntl.F_GETLK), asked(other, fcntl.F_OFD_GETLK))

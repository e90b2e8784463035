"""Forks where the host has room for one child: all ways to fork fail until that has ended. The argument is a host file."""
import ctypes, errno, os, sys, time
file = os.open(sys.argv[1], os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
held, hold = os.pipe()

def child():
    os._exit(os.write(file, b"x") != 1)

# The host clears up behind a process that has ended, for which fork waits a while.
def room_again():
    for _ in range(100):
        try:
            return os.fork()
        except BlockingIOError:
            time.sleep(0.1)
    return os.fork()

def refused(fork):
    ctypes.set_errno(0)
    pid = fork()
    if pid == 0:
        os._exit(99)
    return pid == -1 and ctypes.get_errno() == errno.EAGAIN

first = os.fork()
if first == 0:
    os.close(hold)
    os.read(held, 1)
    child()
for fork in ["fork", "_Fork", "vfork"]:
    print(fork, refused(getattr(libc, fork)), flush=True)
try:
    os.waitpid(-1, os.WNOHANG) == (0, 0) and print("no other child", flush=True)
except ChildProcessError:
    print("the first is gone")
os.close(hold)
print("first", os.waitpid(first, 0)[1], flush=True)
for turn in range(20):
    again = room_again()
    if again == 0:
        child()
    status = os.waitpid(again, 0)[1]
    status and print("turn", turn, status)
print("written", os.fstat(file).st_size)

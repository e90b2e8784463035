"""The limit of the size of files: what is written up to it, the errno and the signal beyond it, in children too."""

import os, resource, signal, subprocess, sys

FSIZE, NONE = resource.RLIMIT_FSIZE, resource.RLIM_INFINITY
hits = []

def report(call):
    try:
        print(call(), end=' ')
    except OSError as error:
        print(error.strerror, end=' ')
    print(hits)
    hits.clear()

signal.signal(signal.SIGXFSZ, lambda number, frame: hits.append(number))
resource.setrlimit(FSIZE, (1000, NONE))
f = os.open('f', os.O_RDWR | os.O_CREAT)
report(lambda: os.write(f, b'x' * 1500))
report(lambda: os.write(f, b'x'))
report(lambda: os.pwrite(f, b'x', 1000))
report(lambda: os.writev(f, [b'a', b'b']))
report(lambda: os.ftruncate(f, 1001))
report(lambda: os.truncate('f', 2000))
report(lambda: os.posix_fallocate(f, 0, 1001))
report(lambda: os.pwrite(f, b'x' * 500000, 0))
report(lambda: os.lseek(f, 5000, os.SEEK_SET))
with open('f', 'r+b', buffering=0) as g:
    g.seek(1000)
    report(lambda: g.write(b'y'))
for shell in ('echo more >> f', 'exec head -c 2000 /dev/zero > h', 'ulimit -S -f unlimited; exec head -c 2000 /dev/zero > h'):
    done = subprocess.run(['sh', '-c', shell], stderr=subprocess.DEVNULL)
    print(done.returncode, os.path.getsize('f'), os.path.exists('h') and os.path.getsize('h'))
resource.prlimit(os.getpid(), FSIZE, (NONE, NONE))
report(lambda: os.pwrite(f, b'x' * 10, 2000))
# Larger than any file: no limit's business.
report(lambda: os.ftruncate(f, 2**63 - 1))
if os.fork() == 0:
    resource.setrlimit(FSIZE, (10, 10))
    report(lambda: os.pwrite(f, b'x', 10))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.stdout.flush()
    os.pwrite(f, b'x', 10)
    print('alive')
    os._exit(0)
print(os.WTERMSIG(os.wait()[1]))
report(lambda: os.pwrite(f, b'x', 2000))

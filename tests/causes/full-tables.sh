# A process with no descriptor number left, or hardly any, hands its files on to its children all the same.
ulimit -n 64
for spare in 0 1 2; do
    for filler in f /dev/null; do
        python3 - $spare $filler << 'END'
import os, sys

spare, filler = int(sys.argv[1]), sys.argv[2]
kept = os.open('kept', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
source, fds = os.open(filler, os.O_RDWR | os.O_CREAT), []
try:
    while True:
        fds.append(os.dup(source))
except OSError as failure:
    os.write(kept, f'{failure.strerror} with {filler}, {spare} to spare\n'.encode())
for fd in fds[len(fds) - spare:]:
    os.close(fd)
if os.fork() == 0:
    os.write(kept, b'child\n')
    if os.fork() == 0:
        os.write(kept, b'grandchild\n')
        os.write(fds[0], b'x')
        os._exit(os.access('kept', os.W_OK))
    os._exit(os.wait()[1] >> 8)
os.write(kept, b'%d\n' % os.wait()[1])
os.dup2(kept, 1)
if spare and os.fork() == 0:
    os.execv('/bin/echo', ['echo', 'program'])
if spare:
    os.write(kept, b'%d\n' % os.wait()[1])
END
    done
done
cat kept
wc -c < f
# So does one that has lowered its own limit, and one that starts a program without a number of its own to spare.
lowered() {
    python3 - << 'END'
import os, resource

kept = os.open('kept', os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))
fds = []
try:
    while True:
        fds.append(os.open('f', os.O_RDONLY))
except OSError as failure:
    os.write(kept, failure.strerror.encode() + b'\n')
if os.fork() == 0:
    os.write(kept, b'child\n')
    os._exit(0)
os.wait()
actions = [(os.POSIX_SPAWN_CLOSE, fd) for fd in fds] + [(os.POSIX_SPAWN_DUP2, kept, 1)]
child = os.posix_spawn('/bin/sh', ['sh', '-c', 'echo program; ulimit -n'], os.environ, file_actions=actions)
os.write(kept, b'%d\n' % os.waitpid(child, 0)[1])
os.write(kept, b'%d\n' % resource.getrlimit(resource.RLIMIT_NOFILE)[0])
END
    cat kept
}
lowered
# The same where the place of the host is named.
HOSTCALL_ATTACH=$(ls /run/hostcall/guest.sock /dev/mmapper 2> /dev/null | head -n 1) lowered

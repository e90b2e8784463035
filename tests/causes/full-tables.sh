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

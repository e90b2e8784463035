# Who writes to a FIFO without readers is told by a signal, and by an error if that is ignored.
mkfifo p
head -c 3 p > head &
yes > p
echo $?
cat head
python3 - <<'P'
import errno, os, signal
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
fd = os.open("p", os.O_RDWR)
writer = os.open("p", os.O_WRONLY)
os.close(fd)
for write in (lambda: os.write(writer, b"x"), lambda: os.writev(writer, [b"x", b"y"])):
    try:
        print(write())
    except OSError as error:
        print(errno.errorcode[error.errno])
got = []
signal.signal(signal.SIGPIPE, lambda number, frame: got.append(number))
try:
    os.write(writer, b"x")
except BrokenPipeError:
    pass
print(got == [signal.SIGPIPE])
# Of a pipe of the guest's its own kernel tells, once.
with open("file", "w") as file:
    file.write("text")
reader, writer = os.pipe()
os.close(reader)
try:
    os.sendfile(writer, os.open("file", os.O_RDONLY), 0, 4)
except BrokenPipeError:
    pass
print(len(got))
P

# popen(3): the shell inherits the host's files.
seq 3 > in
gawk 'BEGIN {
    command = "cat; echo err >&2; ls | wc -l"
    while ((command | getline line) > 0) print line
    print close(command)
    print "x" | "cat > out; exit 3"
    print close("cat > out; exit 3")
    print "y" | "cat >&2"
}' < in 2> err
cat err out
# Its stream is one of bytes.
python3 -c 'import ctypes
libc = ctypes.CDLL(None)
libc.popen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(libc.popen(b"cat in", b"r"))
print(libc.fwide(stream, 0) < 0)
while libc.fgetc(stream) != -1: pass
print(libc.pclose(stream))'

"""A file that is mapped for sharing: map, calls and a second process see one file."""

import mmap, subprocess, sys

if sys.argv[1:] == ['other']:
    with open('m', 'r+b') as f, mmap.mmap(f.fileno(), 0) as m:
        print(m[10:15])
        m[0:3] = b'two'
    sys.exit()
with open('m', 'wb') as f:
    f.write(bytes(20000))
f = open('m', 'r+b')
f.seek(7)
m = mmap.mmap(f.fileno(), 0)
m[10:15] = b'hello'
print(f.tell(), f.read(9))
print(subprocess.run(['/usr/bin/python3', __file__, 'other'], capture_output=True, text=True))
print(m[0:3])
f.seek(19998)
f.write(b'end')
f.flush()
print(m[-2:], f.seek(0, 2))
r = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
print(len(r), r[10:15])

"""splice(2) between files and pipes, with offsets and without."""

import os

with open('f', 'w') as f:
    f.writelines(f'{n}\n' for n in range(99))
r, w = os.pipe()
f = os.open('f', os.O_RDWR)
print(os.splice(f, w, 10, offset_src=4), os.read(r, 99))
print(os.splice(f, w, 5), os.read(r, 99), os.lseek(f, 0, os.SEEK_CUR))
print(os.write(w, b'pour'), os.splice(r, f, 99, offset_dst=2), os.pread(f, 9, 0))
for refused in (lambda: os.splice(f, f, 1), lambda: os.splice(f, w, 1, offset_dst=0)):
    try:
        print(refused())
    except OSError as error:
        print(error)

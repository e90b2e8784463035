"""The children of a program that has mapped a file for sharing have its other files and its directory."""

import mmap, os

os.mkdir('d')
os.chdir('d')
other = os.open('f', os.O_RDWR | os.O_CREAT)
os.write(other, b'before')
mapped = os.open('m', os.O_RDWR | os.O_CREAT)
os.write(mapped, b'a' * 8192)
view = mmap.mmap(mapped, 8192)
for turn in range(3):
    child = os.fork()
    if child == 0:
        view[turn] = ord('b')
        os.write(other, b' %d' % turn)
        print(os.path.basename(os.getcwd()), sorted(os.listdir('.')), os.pread(mapped, 3, 0), flush=True)
        os._exit(0)
    print(os.waitpid(child, 0)[1], view[:4], os.pread(other, 20, 0), flush=True)

"""A file that is mapped for sharing shows what is written through descriptors that nobody has mapped, as LMDB does."""

import mmap, os

os.mkdir('d')
mapped = os.open('d/m', os.O_RDWR | os.O_CREAT)
os.write(mapped, b'a' * 8192)
beside = os.dup(mapped)
view = mmap.mmap(mapped, 8192, prot=mmap.PROT_READ)
later = os.open('d/m', os.O_WRONLY | os.O_DSYNC)
print(view[:2], view[4096:4098])
for turn in range(30):
    text = b'%02d' % turn
    os.pwrite(later, text * 2048, 4096)
    os.pwrite(beside, text * 2048, 0)
    if (view[:2], view[4096:4098], os.pread(mapped, 2, 0)) != (text, text, text):
        print(turn, view[:2], view[4096:4098], os.pread(mapped, 2, 0))

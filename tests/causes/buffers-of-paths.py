"""Of a path that does not resolve, realpath(3) leaves in the caller's buffer how far it has come."""

import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
here = os.getcwd().encode()
os.mkdir('d')
open('file', 'w').close()
os.symlink('missing', 'dangling')
os.symlink('loop', 'loop')
os.symlink('d', 'link')

for path in 'd/../file', 'none', 'none/below', 'dangling', 'dangling/below', 'link/none', 'link/none/below', 'loop', 'file/below', 'file/', '':
    buffer = ctypes.create_string_buffer(b'untouched', 4096)
    libc.realpath.restype = ctypes.c_char_p
    answer = libc.realpath(path.encode(), buffer)
    failure = '' if answer else os.strerror(ctypes.get_errno())
    print(path, failure, buffer.value.replace(here, b'HERE') if failure in ('', 'No such file or directory') else '')

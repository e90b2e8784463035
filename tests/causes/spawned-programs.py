"""posix_spawn(3) has no shell read a file without a format, and no signal stops its child before the program runs."""

import ctypes, os, pty

libc = ctypes.CDLL(None)

with open('formatless', 'w') as script:
    script.write('echo a shell reads it\n')
os.chmod('formatless', 0o755)
for spawn in os.posix_spawn, os.posix_spawnp:
    try:
        os.waitpid(spawn('./formatless', ['formatless'], os.environ), 0)
    except OSError as failure:
        print(failure.strerror)


def take_the_terminal():
    """Starts a program as a group of its own, which as it is in the background takes the terminal."""
    SETPGROUP = 2
    attributes, actions = ctypes.create_string_buffer(400), ctypes.create_string_buffer(400)
    libc.posix_spawnattr_init(attributes)
    libc.posix_spawnattr_setflags(attributes, SETPGROUP)
    libc.posix_spawn_file_actions_init(actions)
    libc.posix_spawn_file_actions_addtcsetpgrp_np(actions, 0)
    words = [b'python3', b'-c', b'import os; print(os.tcgetpgrp(0) == os.getpid())', None]
    arguments = (ctypes.c_char_p * len(words))(*words)
    environment = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')
    made = ctypes.c_int()
    return libc.posix_spawnp(ctypes.byref(made), b'python3', actions, attributes, arguments, environment)


child, terminal = pty.fork()
if child == 0:
    # On the terminal it may say nothing itself, in the background.
    with open('failure', 'w') as file:
        print(take_the_terminal(), os.wait()[1], file=file)
    os._exit(0)
said = os.fdopen(terminal)
print(said.readline())
os.waitpid(child, 0)
print(open('failure').read())

"""After chroot(2) the working directory's path is what it is in that root."""

import os

os.makedirs('root/inner')
with open('root/inner/file', 'w') as file:
    file.write('text')


def child(act):
    if os.fork() == 0:
        act()
        os._exit(0)
    os.wait()


def outside():
    # Its path is not asked for: where the root is mounted below itself, libc looks for it without end.
    os.chroot('root')
    print(os.path.exists('root/inner'), os.path.exists('/inner/file'))


def inside():
    os.chdir('root/inner')
    os.chroot('..')
    print(os.getcwd())
    print(open('file').read())
    os.chdir('/')
    print(os.getcwd(), os.listdir())


child(outside)
child(inside)

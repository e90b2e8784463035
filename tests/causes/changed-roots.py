"""After chroot(2) the working directory's path is what it is in that root."""

import os

os.makedirs('root/inner')
with open('root/inner/file', 'w') as file:
    file.write('text')


def told(what, call):
    try:
        print(what, call())
    except OSError as failure:
        print(what, failure.strerror)


def child(act):
    if os.fork() == 0:
        act()
        os._exit(0)
    os.wait()


def outside():
    os.chroot('root')
    told('outside', os.getcwd)
    print(os.path.exists('root/inner'), os.path.exists('/inner/file'))


def inside():
    os.chdir('root/inner')
    os.chroot('..')
    told('inside', os.getcwd)
    print(open('file').read())
    os.chdir('/')
    told('at the root', os.getcwd)
    print(os.listdir())


child(outside)
child(inside)

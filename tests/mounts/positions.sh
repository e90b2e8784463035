# Who stood there, or had files open, before something was mounted; other mount namespaces; binds.
exec 2>&1
mkdir d e; echo beneath > d/f; echo e > e/e
echo == a namespace of its own
unshare -m sh -c 'mount -t tmpfs none d && echo inner > d/inner && ls d && (unshare -m umount d; ls d); rmdir d'
ls d; cat d/f
echo == who runs already
mkfifo /tmp/go$$ /tmp/done$$
(read x < /tmp/go$$; cat d/top; ls d; echo > /tmp/done$$; read x < /tmp/go$$; cat d/f; echo > /tmp/done$$) &
mount -t tmpfs none d; echo top > d/top; echo > /tmp/go$$; read x < /tmp/done$$
umount d; echo > /tmp/go$$; read x < /tmp/done$$; wait; rm /tmp/go$$ /tmp/done$$
echo == standing in it
(cd d; mount -t tmpfs none .; ls; cat f; cat ../d/f; echo > ../d/z; ls ../d; cd ../d; ls; cd ..; umount d; ls d)
echo == descriptors beneath
python3 -u - <<'X'
import os
d = os.open('d', os.O_RDONLY); here = os.open('.', os.O_RDONLY)
os.system('mount -t tmpfs none d; echo t > d/t')
print(os.listdir(d), os.listdir('d'), sorted(os.listdir(here)))
print(os.read(os.open('f', os.O_RDONLY, dir_fd=d), 9))
with open('t', opener=lambda path, flags: os.open('d/' + path, flags, dir_fd=here)) as file: print(file.read())
try: os.open('d/f', os.O_RDONLY, dir_fd=here)
except OSError as e: print(e)
os.fchdir(d); print(sorted(os.listdir('.')), open('f').read()); open('new', 'w').write('new')
print(sorted(os.listdir('.')), os.listdir('../d'))
print(os.path.samefile('.', '../d'), os.readlink(f'/proc/self/fd/{d}') == os.getcwd())
os.fchdir(here); print(sorted(os.listdir('.')), sorted(os.listdir('d')))
if os.fork() == 0:
    print(os.listdir('d'), sorted(os.listdir(d))); os._exit(0)
os.wait()
os.system('umount d')
print(sorted(os.listdir('d')), sorted(os.listdir(d)))
X
echo == binds
mount --bind e d; cat d/e; echo n > d/n; ls e; rmdir d; mv e/n d/m; ls e; umount d; ls d
mount --bind e/e d/f; cat d/f; rm d/f; mv d/f d/g; mv e/m d/f; : > d/f; cat e/e; umount d/f; cat d/f; rm d/new
mount -t tmpfs none d; mkdir d/s; mount --bind e d/s; ls d/s; touch d/s/y; ls e; umount d; umount d/s d; ls d
mkdir f; mount -t tmpfs none d; touch d/t; mount --make-private d; umount -l d; ls d; rmdir f

# What is mounted over a host directory is found there by every call, and the directory cannot be taken away.
exec 2>&1
mkdir d e; echo beneath > d/f; echo plain > e/g; ln -s d link
exec 5< d/f 6< .
mount -t tmpfs none d; echo mount $?
ls d; cat d/f; echo on-top > d/h; cat d/h link/h; ls link/ d
cat <&5
rmdir d; mv d x; mkdir x; mv -T x d; rmdir x; unlink d; rm -r d; ls -A d
echo on-top > d/h; stat -f -c %T d link; test d/h -nt e/g && echo newer; find . -xdev | sort; du -a d | cut -f2
(cd d; pwd; echo x > y; cat y; cat ../e/g; ls ..; cd ..; pwd; cat e/g)
(cd link; pwd -P; ls)
cp e/g d/copy; cmp e/g d/copy; mv d/copy e/moved; cat e/moved; ln e/g d/hard; tar cf d/t -C e .; tar tf d/t | sort
python3 -u - <<'X'
import os
print(sorted(os.listdir(6)), sorted(os.listdir("d")))
print(os.read(os.open("d/y", os.O_RDONLY, dir_fd=6), 9))
print(os.stat("d", dir_fd=6).st_dev == os.stat("d").st_dev, os.stat("d").st_dev == os.stat("e").st_dev)
print(os.path.ismount("d"), os.path.ismount("e"), os.path.realpath("link/y").split("/")[-2:])
for call in (lambda: os.rename("d/y", "e/y"), lambda: os.link("d/y", "e/y"), lambda: os.rmdir("d")):
    try: call()
    except OSError as e: print(e)
X
cp /bin/echo d/prog; d/prog hello; printf '#!%s\nscript\n' "$PWD/d/prog" > d/script; chmod +x d/script; (cd d; ./prog x)
umount d; echo umount $?
cat d/f; ls d; rmdir d; rm d/f; rmdir d; ls

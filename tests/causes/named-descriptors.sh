# /dev/fd/N opens the file anew, with a position of its own.
seq 9 > f
exec 3< f
read -r a <&3
read -r b < /dev/fd/3
head -n 1 /dev/fd/3
cat <&3
echo "$a $b"
exec 4>> f
echo ten > /dev/fd/4
cat f
# What is asked of the name, and done to it, is asked of the file.
for kind in -c -d -f -p -r -x; do test $kind /dev/fd/3 && echo "$kind"; done
test -f /dev/stdin < f && echo standard input
stat -L -c '%F %s' /dev/fd/3 /proc/self/fd/4
chmod 640 /dev/fd/3; chown "$(id -u)" /proc/self/fd/4; echo $?
stat -c %a f
mkfifo p; exec 5<> p
test -p /dev/fd/5 && echo pipe
exec 6< .
test -d /dev/fd/6 && echo directory
# Below a directory, from the descriptor: whatever has become of its name.
mkdir -p d/inner && echo deep > d/inner/file
exec 7< d
mv d renamed && mkdir d && echo other > d/file
cat /dev/fd/7/inner/file; ls /dev/fd/7/ /proc/self/fd/7//inner
cat /dev/fd/7/../f | head -n 2; cat /dev/fd/7/inner/../../renamed/inner/file
stat -c '%F' /dev/fd/7/.; cat /dev/fd/3/below 2>&1
echo new > /dev/fd/7/made; cat renamed/made

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

# A program that is being executed cannot be written to, and can be as soon as it has ended.
cp /bin/sleep program
./program 30 &
until [ "$(cat /proc/$!/comm 2>/dev/null)" = program ]; do sleep 0.01; done
echo x > program
echo $?
truncate -s 1 program
echo x >> program
dd if=/dev/null of=program conv=excl
cat < program | cksum
mv program renamed; echo other > program; rm program
{ kill $!; wait $!; } 2> /dev/null
echo written > renamed && cat renamed
for round in $(seq 20); do
    cp /bin/true again && ./again || echo "round $round"
done

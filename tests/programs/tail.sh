# Program: GNU tail, which follows
# Package: coreutils
# Commands: tail
# Does: follows a file that grows and one that is replaced, by descriptor and by name
seq 3 > f
(
    sleep 0.3
    echo four >> f
    sleep 0.3
    echo five >> f
) &
timeout 20 tail -f -n 1 -s 0.1 --pid=$! f
wait
echo old > g
(
    sleep 1
    echo new > g.new
    mv g.new g
    sleep 2
) &
timeout 20 tail -F -s 0.1 --pid=$! g 2> /dev/null
wait

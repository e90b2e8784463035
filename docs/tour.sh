#!/bin/bash
# A tour of host files and host programs from inside a guest: each command with its result. Every path under /host is on the
# host, and so is what hrun runs.
set -u
show() {
    printf '\n\033[1mguest$\033[0m %s\n' "$1"
    eval "$1"
}
[ -t 1 ] || show() { printf '\nguest$ %s\n' "$1"; eval "$1"; }

host=$(mktemp -d /host/tmp/hostcall-tour.XXXXXX) || exit 1
trap 'rm -rf "$host"' EXIT
cd || exit 1
show 'uname -nr'
show 'echo "from the guest" > guest.txt'
show "echo 'from the host file' > $host/host.txt"
show "cat guest.txt >> $host/host.txt"
show "cat $host/host.txt"
show "mkdir $host/dir && mv $host/host.txt $host/dir/renamed.txt && ls -l $host/dir"
show "sort -r < $host/dir/renamed.txt > $host/sorted.txt 2>&1; cat $host/sorted.txt"
show "cd $host/dir && pwd && wc -l renamed.txt && cd"
show "head -c 8M /dev/zero | tee $host/zeros | wc -c; stat -c '%n: %s bytes' $host/zeros"
show "find $host | sort; rm -r $host/dir $host/zeros; ls $host"
show "busybox cat $host/sorted.txt   # a static program: by the mount"
show "cat $host/missing"
show "ls /host/etc | wc -l"
show "hrun uname -nr   # a program of the host"
show "hcd ${host#/host} && hpwd && hrun ls -l"
show "grep guest ~/guest.txt | hrun tr a-z A-Z"
show "hrun sort -r sorted.txt > $host/again.txt && cat $host/again.txt   # no byte of it comes through the guest"
show 'hrun sh -c "exit 7"; echo "status $?"'
show "hrun no-such-program; echo \"status \$?\""

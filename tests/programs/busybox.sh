# Program: BusyBox (static)
# Package: busybox-static
# Commands: busybox
# Does: its own shell with 60 applets on 150 files: copies, finds, archives, edits, redirections, pipelines, here documents; static, so all by the mount
cp "${0%.sh}-script" script
busybox sh script
echo "status $?"
cat bye
busybox sh -c 'cat here; bash -c "cat here; echo bash >> mixed"; echo busybox >> mixed; env -i /bin/cat mixed' > mixed-out 2>&1
cat mixed-out
{
    echo one
    busybox echo two
    echo three
    busybox cat here
} > shared
cat shared
busybox find . -name 'f*' | busybox xargs busybox wc -c | busybox tail -n 1
rm -f ??????

# Program: BusyBox, which moves a shared position
# Package: busybox-static
# Commands: busybox
# Does: reads a part of a file that a shell goes on reading: head gives back what it has read too much
# Differs in local: A static program that moves only the position of an inherited file leaves the others' position
# Differs in uml: A static program that moves only the position of an inherited file leaves the others' position
seq 1000 > n
{
    read -r a
    busybox head -n 1
    read -r c
    echo "$a $c"
} < n

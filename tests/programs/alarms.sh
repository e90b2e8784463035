# Program: a program that uses files in a signal handler
# Package: gcc
# Commands: gcc
# Does: opens, writes and renames files, and does so in a handler half a millisecond after the last, with SA_RESTART and without
gcc -w -o ../program "${0%.sh}.c"
../program
echo "status $?"

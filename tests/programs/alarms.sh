# Program: a program that uses files in a signal handler
# Package: gcc
# Commands: gcc
# Does: opens, writes and renames files, and does so in a handler half a millisecond after the last, with SA_RESTART and without
# Differs in uml: Calls that a signal handler's own calls interrupt fail there now and then, and the session may end
# Long in uml: not every run shows it
gcc -w -o ../program "${0%.sh}.c"
../program
echo "status $?"

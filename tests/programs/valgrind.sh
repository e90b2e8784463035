# Program: Valgrind
# Package: valgrind gcc
# Commands: valgrind gcc
# Does: runs a program by Memcheck that names files in memory of which only the names were ever written, short and long, at several alignments; a use of the rest would be found
gcc -w -g -o ../program "$(dirname "$0")/unwritten.c"
# It says of futex_waitv(2), which it does not know, that it should.
valgrind -q --error-exitcode=9 ../program 2>&1 | sed '/^--[0-9]/d; s/==[0-9]*==/==/'
echo "status ${PIPESTATUS[0]}"

# Program: GCC's address sanitizer
# Package: gcc
# Commands: gcc
# Does: a program of threads, streams, maps and children, built with it; ASAN_OPTIONS=verify_asan_link_order=0 lets it start behind another preloaded library
# Differs in uml: It does not start there, with or without the preload: programs lie where its shadow memory should
# Its check for leaks would trace the process with ptrace(2), which nobody may in many guests.
export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
gcc -w -pthread -g -fsanitize=address -o ../program "$(dirname "$0")/allocators.c"
../program 2>&1
echo "status $?"

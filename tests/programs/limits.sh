# Program: GNU bash, with a limit of file sizes
# Package: bash
# Commands: bash
# Does: writes beyond the limit that ulimit -f sets
bash -c 'ulimit -f 1; trap "" XFSZ; seq 5000 > limited'
stat -c %s limited

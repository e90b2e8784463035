# Program: a static musl program
# Package: musl-tools
# Commands: musl-gcc
# Does: compiled on the prefix and run there: 200 files by raw calls of its own libc, streams, directories, maps, locks, inherited and redirected files, children
cp "${0%.sh}.c" p.c
musl-gcc -static -o static p.c && file -b static | grep -o 'statically linked'
mkdir one two three
(cd one && ../static)
echo "status $?"
(
    cd two && ../static > said 2>&1 < /dev/null
    cat said
)
(cd three && "$OLDPWD/static" | cat && echo piped)
seq 100 > in
{
    ./static a
    ./static b
} < in 3>> both > out 2>&1
cat out both

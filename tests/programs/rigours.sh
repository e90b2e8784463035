# Program: a program that is hard on itself
# Package: gcc
# Commands: gcc
# Does: closes every descriptor in four ways, raises and lowers its limit of open files, chroots, loads a plugin that uses files as it begins and ends, writes as it exits
gcc -w -o ../program "${0%.sh}.c"
gcc -w -shared -fPIC -o plugin.so "${0%.sh}-plugin.c"
../program
echo "status $?"
rm plugin.so

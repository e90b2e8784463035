/* The auxiliary vector as runtimes find it that do not ask libc: behind the environment. In the working directory. */
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    static const unsigned long wanted[] = {AT_PAGESZ, AT_RANDOM, AT_EXECFN, AT_PHDR};
    char **end = arguments + count + 1;
    while (*end)
        end++;
    for (int at = 0; at < 4; at++) {
        unsigned long *entry = (unsigned long *)(end + 1);
        while (entry[0] != AT_NULL && entry[0] != wanted[at])
            entry += 2;
        printf("%lu %s\n", wanted[at], entry[0] && entry[1] == getauxval(wanted[at]) ? "found" : "missed");
    }
    fflush(stdout);
    if (count > 1)
        execvp(arguments[1], arguments + 1);
    return 0;
}

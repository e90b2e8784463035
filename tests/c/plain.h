/* What the C cases about descriptors and processes share: a transcript on standard output, unbuffered, so that it
   survives fork, exec and a program that closes every other descriptor. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands for the errno of the call in the same line: arguments are evaluated in any order, say() comes after them all. */
static const char *why(void)
{
    return "\001";
}

static void say(const char *format, ...)
{
    const char *reason = strerrorname_np(errno);
    char line[8192], out[8192];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    char *mark = strchr(line, 1);
    if (mark)
        *mark = 0;
    int length = snprintf(out, sizeof out, "%s%s%s\n", line, mark ? reason : "", mark ? mark + 1 : "");
    if (write(1, out, length) != length)
        _exit(99);
}

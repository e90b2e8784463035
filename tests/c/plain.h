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

static void say(const char *format, ...)
{
    char line[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    line[length] = '\n';
    if (write(1, line, length + 1) != length + 1)
        _exit(99);
}

static const char *why(void)
{
    return strerrorname_np(errno);
}

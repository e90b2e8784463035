/* What the C cases share: they write a transcript to a private copy of stdout, the same on a native directory
   (argv[1]) and on a host directory under the prefix, so that the tests can compare the two. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int transcript = -1;
static const char *directory;

static void say(const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (write(transcript, line, length) != length)
        _exit(99);
}

/* The path of a file in the directory, in one of eight turning buffers. */
static const char *in(const char *name)
{
    static char paths[8][4096];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void begin(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        exit(2);
    }
    directory = argv[1];
    transcript = fcntl(1, F_DUPFD_CLOEXEC, 100);
}

static inline const char *error(int failed)
{
    return failed ? strerrorname_np(errno) : "ok";
}

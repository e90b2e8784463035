/* What daemons and careful programs do to themselves, with host files before and after; each in a child of its own. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    printf("  %s %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
    fflush(stdout);
}

static void use(const char *name)
{
    int fd = open(name, O_RDWR | O_CREAT | O_APPEND, 0644);
    say("open", fd < 0 ? fd : 0);
    say("write", write(fd, "line\n", 5));
    struct stat found;
    say("size", fstat(fd, &found) ? -1 : found.st_size);
    say("close", close(fd));
}

static void one_by_one(void)
{
    int kept = open("kept", O_RDWR | O_CREAT, 0644);
    (void)kept;
    for (int fd = 3; fd < 65536; fd++)
        close(fd);
    say("gone", write(kept, "x", 1));
    use("one-by-one");
    say("lowest", open("kept", O_RDONLY));
}

static void by_closefrom(void)
{
    int kept = open("kept", O_RDWR | O_CREAT, 0644);
    closefrom(3);
    say("gone", write(kept, "x", 1));
    use("closefrom");
    say("lowest", open("kept", O_RDONLY));
}

static void by_range(void)
{
    int first = open("kept", O_RDWR | O_CREAT, 0644), second = open("kept", O_RDONLY);
    say("marked", close_range(3, ~0U, CLOSE_RANGE_CLOEXEC));
    say("flags", fcntl(first, F_GETFD));
    say("lives", write(first, "x", 1));
    say("closed", close_range(second, ~0U, 0));
    say("gone", read(second, &first, 1));
    use("close-range");
    say("all", close_range(3, ~0U, CLOSE_RANGE_UNSHARE));
    say("lowest", open("kept", O_RDONLY));
}

/* As a daemon does: closes what it finds in /proc, and becomes one. */
static void by_proc(void)
{
    int kept = open("kept", O_RDWR | O_CREAT, 0644);
    DIR *all = opendir("/proc/self/fd");
    struct dirent *entry;
    while ((entry = readdir(all)))
        if (atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(all))
            close(atoi(entry->d_name));
    closedir(all);
    say("gone", write(kept, "x", 1));
    use("proc");
}

static void many_files(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_max = limit.rlim_max > 3000 ? 3000 : limit.rlim_max;
    limit.rlim_cur = limit.rlim_max;
    say("raised", setrlimit(RLIMIT_NOFILE, &limit));
    int count = 0, fd, last = 0;
    for (int number = 0; number < 2000 && (fd = open("kept", O_RDONLY | O_CREAT, 0644)) >= 0; number++)
        count++, last = fd;
    say("opened", count);
    say("last", fcntl(last, F_GETFD));
    limit.rlim_cur = 20;
    say("lowered", setrlimit(RLIMIT_NOFILE, &limit));
    say("beyond", open("kept", O_RDONLY));
    say("still there", lseek(last, 0, SEEK_END));
    say("duplicate", dup(last));
}

static void in_a_root(void)
{
    char here[4096];
    getcwd(here, sizeof here);
    mkdir("root", 0755);
    int outside = open("outside", O_RDWR | O_CREAT, 0644);
    use("root/inside");
    say("chroot", chroot("root"));
    say("chdir", chdir("/"));
    printf("  %s\n", getcwd(NULL, 0));
    say("by its old name", access(here, F_OK));
    use("/inside");
    use("relative");
    use("/../above");
    DIR *all = opendir("/");
    int count = 0;
    while (readdir(all))
        count++;
    closedir(all);
    say("entries", count);
    say("open before", write(outside, "x", 1));
    say("renamed", rename("/relative", "renamed"));
}

static void a_plugin(void)
{
    void *plugin = dlopen("./plugin.so", RTLD_NOW);
    if (!plugin)
        printf("  %s\n", dlerror());
    else
        say("closed", dlclose(plugin));
    use("by-the-plugin");
}

static FILE *last;
static void at_the_end(void)
{
    use("at-the-end");
    fputs("from atexit\n", last);
}

static void by_atexit(void)
{
    last = fopen("last", "w");
    fputs("buffered\n", last);
    atexit(at_the_end);
    freopen("redirected", "w", stderr);
    fputs("to stderr\n", stderr);
}

__attribute__((destructor)) static void destructor(void)
{
    if (last) {
        int fd = open("destructor", O_WRONLY | O_CREAT, 0644);
        write(fd, "ran\n", 4);
    }
}

int main(void)
{
    struct { const char *name; void (*act)(void); } parts[] = {
        {"one by one", one_by_one}, {"closefrom", by_closefrom}, {"close_range", by_range}, {"proc", by_proc},
        {"many files", many_files}, {"in a root", in_a_root}, {"a plugin", a_plugin}, {"atexit", by_atexit},
    };
    for (unsigned number = 0; number < sizeof parts / sizeof *parts; number++) {
        puts(parts[number].name);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            parts[number].act();
            exit(number);
        }
        int status;
        waitpid(child, &status, 0);
        say("status", status);
    }
    return 0;
}

/* What children and new program images inherit: by fork, vfork, the exec family, posix_spawn, system and popen. */
#define _GNU_SOURCE
#include "plain.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;
static char self[4096], name[4096];

static const char *in(const char *directory, const char *file)
{
    snprintf(name, sizeof name, "%s/%s", directory, file);
    return name;
}

static int make(const char *d, const char *file, const char *text)
{
    int fd = open(in(d, file), O_RDWR | O_CREAT | O_TRUNC, 0644);
    write(fd, text, strlen(text));
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void status(const char *what, int pid)
{
    int code = -1;
    waitpid(pid, &code, 0);
    say("%s: %x", what, code);
}

/* The new image: says what it finds. */
static int child(int count, char **arguments)
{
    char text[64] = {0}, where[4096];
    say("image with %d arguments, last %s", count, arguments[count - 1]);
    for (int fd = 0; fd < 12; fd++) {
        if (fd == 1) continue;
        struct stat s;
        if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode)) {
            memset(text, 0, sizeof text);
            ssize_t n = read(fd, text, 4);
            say("fd %d regular, read %zd %s", fd, n, text);
        } else if (fcntl(fd, F_GETFD) == -1) {
            say("fd %d %s", fd, why());
        }
    }
    say("cwd %s", getcwd(where, sizeof where) ? where : why());
    say("relative %d", access("marker", F_OK));
    say("umask %o", umask(022));
    say("variable %s", getenv("VARIABLE") ? getenv("VARIABLE") : "unset");
    for (char **entry = environ; *entry; entry++)
        if (!strncmp(*entry, "HOSTCALL_TOKEN", 14) || !strncmp(*entry, "HOSTCALL_FDS", 12)) say("left over %s", *entry);
    return 7;
}

/* A child of clone(2): what it opens, where it goes and what it closes is its own, unless it shares memory and all. */
static int cloned(void *file)
{
    char text[8] = {0}, where[4096];
    int fd = *(int *)file;
    ssize_t got = read(fd, text, 2);
    say("clone read %zd %s", got, text);
    say("clone relative %d", access("marker", F_OK));
    say("clone moves %d", chdir("/"));
    close(fd);
    say("clone stands in %s", getcwd(where, sizeof where));
    return 9;
}

static void clones(const char *d)
{
    char where[4096];
    int fd = make(d, "cloned", "0123456789");
    char *stack = (char *)malloc(65536) + 65536;
    say("there %d", chdir(d));
    close(open("marker", O_CREAT | O_WRONLY, 0600));
    status("clone", clone(cloned, stack, SIGCHLD, &fd));
    say("clone of nothing %d %s", clone(NULL, stack, SIGCHLD, &fd), why());
    int tid = 0, child = clone(cloned, stack, SIGCHLD | CLONE_PARENT_SETTID, &fd, &tid);
    say("told %d", child == tid);
    status("clone", child);
    for (int way = 0; way < 3; way++) {
        struct { unsigned long flags, others[3], exit_signal, rest[3]; } words = {.exit_signal = SIGCHLD};
        int child = way == 0 ? syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : way == 1 ? syscall(SYS_clone3, &words, sizeof words) : syscall(SYS_fork);
        if (child == 0)
            _exit(cloned(&fd));
        status("by number", child);
    }
    say("position %ld at %s", lseek(fd, 0, SEEK_CUR), getcwd(where, sizeof where));
    status("with all that is shared", clone(cloned, stack, SIGCHLD | CLONE_VM | CLONE_VFORK | CLONE_FS | CLONE_FILES, &fd));
    say("position %ld %s", lseek(fd, 0, SEEK_CUR), why());
    say("moved to %s", getcwd(where, sizeof where));
}

static void forks(const char *d)
{
    char text[16] = {0};
    int fd = make(d, "shared", "0123456789");
    int pid = fork();
    if (pid == 0) {
        read(fd, text, 3);
        say("child reads %s", text);
        write(open(in(d, "bychild"), O_CREAT | O_WRONLY, 0666), "x", 1);
        close(fd);
        _exit(3);
    }
    status("fork", pid);
    say("the position has moved to %ld", (long)lseek(fd, 0, SEEK_CUR));
    say("after the child closed it: %zd", read(fd, text, 3));
    pid = vfork();
    if (pid == 0) _exit(read(fd, text, 1) == 1 ? 5 : 6);
    status("vfork", pid);
    /* Depth: a grandchild, whose parent ends first. */
    int pair[2];
    pipe(pair);
    pid = fork();
    if (pid == 0) {
        if (fork() == 0) {
            usleep(50000);
            lseek(fd, 8, SEEK_SET);
            read(fd, text, 2);
            write(pair[1], text, 2);
        }
        _exit(0);
    }
    status("middle", pid);
    close(pair[1]);
    say("grandchild %zd", read(pair[0], text, 2));
    close(pair[0]), close(fd);
    for (int i = 0; i < 20; i++) {
        int f = make(d, "many", "x");
        if ((pid = fork()) == 0) _exit(read(f, text, 1) == 1 ? 0 : 1);
        int code;
        waitpid(pid, &code, 0);
        if (code) say("round %d %x", i, code);
        close(f);
    }
}

#define EXEC(what, call) do { int pid = fork(); if (pid == 0) { call; say("failed %s", why()); _exit(9); } status(what, pid); } while (0)

static void execs(const char *d)
{
    int keep = make(d, "keep", "keepkeep"), drop = open(in(d, "keep"), O_RDONLY | O_CLOEXEC);
    char *vector[] = {"self", "child", "v", NULL}, *environment[] = {"VARIABLE=given", NULL};
    int low = fcntl(keep, F_DUPFD, 10);
    say("keep %d drop %d low %d", keep, drop, low);
    EXEC("execv", execv(self, vector));
    EXEC("execve", execve(self, vector, environment));
    EXEC("execl", execl(self, "self", "child", "1", "2", "3", "4", "5", "6", "7", "l", (char *)NULL));
    EXEC("execl short", execl(self, "self", "child", (char *)NULL));
    EXEC("execle", execle(self, "self", "child", "2", "3", "4", "5", "e", (char *)NULL, environment));
    EXEC("execlp", execlp(self, "self", "child", "p", (char *)NULL));
    EXEC("execvp", execvp(self, vector));
    EXEC("execvpe", execvpe(self, vector, environment));
    EXEC("fexecve", fexecve(open(self, O_RDONLY | O_CLOEXEC), vector, environment));
    int lost = make(d, "lost", "#!/nonexistent/interpreter\n"), script = make(d, "script", "#!/bin/sh\nexit 6\n");
    fchmod(lost, 0755), fchmod(script, 0755);
    close(lost), close(script);
    EXEC("no interpreter", execv(in(d, "lost"), vector));
    EXEC("no interpreter here", chdir(d); execvp("./lost", vector));
    EXEC("no interpreter along the path", setenv("PATH", d, 1); execvp("lost", vector));
    EXEC("a script that is closed", fexecve(open(in(d, "script"), O_RDONLY | O_CLOEXEC), vector, environment));
    EXEC("missing", execlp("no-such-program-anywhere", "x", (char *)NULL));
    EXEC("a directory", execl("/", "x", (char *)NULL));
    EXEC("twice", dup2(keep, 0); execl("/bin/sh", "sh", "-c", "exec \"$0\" child twice", self, (char *)NULL));
    EXEC("env -i", execl("/usr/bin/env", "env", "-i", self, "child", "i", (char *)NULL));
    /* After a failed exec the old image goes on. */
    int pid = fork();
    if (pid == 0) {
        char text[8] = {0};
        execl("/nonexistent", "x", (char *)NULL);
        say("failed %s", why());
        lseek(keep, 0, SEEK_SET);
        say("still reads %zd %s", read(keep, text, 4), text);
        fcntl(keep, F_SETFD, FD_CLOEXEC);
        fcntl(drop, F_SETFD, 0);
        execl(self, "self", "child", "swapped", (char *)NULL);
    }
    status("swapped", pid);
    pid = fork();
    if (pid == 0) {
        chdir(d);
        close(open("marker", O_CREAT | O_WRONLY, 0600));
        umask(027);
        execl(self, "self", "child", "cwd", (char *)NULL);
    }
    status("cwd", pid);
    close(keep), close(drop), close(low);
}

/* From a directory's descriptor, which an interpreter finds the script by as well. */
static void execs_at(const char *d)
{
    char *vector[] = {"script", NULL}, *environment[] = {NULL};
    int script = make(d, "script", "#!/bin/sh\nexit 5\n"), directory = open(d, O_RDONLY | O_DIRECTORY);
    fchmod(script, 0755);
    close(script);
    symlink("script", in(d, "link"));
    EXEC("in a directory", execveat(directory, "script", vector, environment, 0));
    EXEC("by a link", execveat(directory, "link", vector, environment, 0));
    EXEC("no link", execveat(directory, "link", vector, environment, AT_SYMLINK_NOFOLLOW));
    EXEC("up and down", execveat(directory, "../x/../no-such", vector, environment, 0));
    EXEC("missing there", execveat(directory, "no-such", vector, environment, 0));
    EXEC("no directory", execveat(open(in(d, "script"), O_RDONLY), "script", vector, environment, 0));
    EXEC("of no descriptor", execveat(-1, "script", vector, environment, 0));
    close(directory);
}

static void spawns(const char *d)
{
    char *vector[] = {"self", "child", "s", NULL}, *environment[] = {"VARIABLE=spawned", NULL};
    int pid = -1, keep = make(d, "spawn", "spawnspawn");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, keep, 0);
    posix_spawn_file_actions_adddup2(&actions, keep, 8);
    posix_spawn_file_actions_addclose(&actions, keep);
    posix_spawn_file_actions_addopen(&actions, 5, in(d, "spawn"), O_RDONLY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, d);
    /* The result is told after the child has ended, for the two would write at once. */
    int result = posix_spawn(&pid, self, &actions, NULL, vector, environment);
    status("spawned", pid);
    say("posix_spawn %s", strerror(result));
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    say("missing %s", strerror(posix_spawn(&pid, "/nonexistent", NULL, NULL, vector, environment)));
    say("no interpreter %s", strerror(posix_spawn(&pid, in(d, "lost"), NULL, NULL, vector, environment)));
    char *sh[] = {"sh", "-c", "cat <&3; kill -9 $$", NULL};
    lseek(keep, 5, SEEK_SET);
    result = posix_spawnp(&pid, "sh", NULL, &attributes, sh, environ);
    status("killed", pid);
    say("posix_spawnp %s", strerror(result));
    close(keep);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, in(d, "spawned-output"), O_WRONLY | O_CREAT, 0644);
    char *echo[] = {"sh", "-c", "echo into a file", NULL};
    say("output %s", strerror(posix_spawnp(&pid, "sh", &actions, NULL, echo, environ)));
    status("output", pid);
    posix_spawn_file_actions_addopen(&actions, 4, in(d, "none/none"), O_RDONLY, 0);
    say("bad action %s", strerror(posix_spawnp(&pid, "sh", &actions, NULL, echo, environ)));
}

/* No cancellation point, in the parent or in the child. */
static void *spawn_when_cancelled(void *directory)
{
    char *sh[] = {"sh", "-c", "echo of a cancelled thread", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, in(directory, "cancelled"), O_WRONLY | O_CREAT, 0644);
    posix_spawn_file_actions_addclose(&actions, 0);
    static int pid;
    pthread_cancel(pthread_self());
    return posix_spawnp(&pid, "sh", &actions, NULL, sh, environ) == 0 ? &pid : NULL;
}

static void spawns_of_cancelled_threads(const char *d)
{
    pthread_t thread;
    void *pid;
    pthread_create(&thread, NULL, spawn_when_cancelled, (void *)d);
    pthread_join(thread, &pid);
    say("cancelled %d", pid == PTHREAD_CANCELED);
    if (pid && pid != PTHREAD_CANCELED) status("spawned", *(int *)pid);
}

static void systems(const char *d)
{
    int fd = make(d, "sys", "line one\nline two\n");
    say("system %x", system("exit 3"));
    dup2(fd, 9);
    say("system %x", system("cat <&9"));
    FILE *pipe = popen("echo through a pipe", "r");
    char text[64] = {0};
    fgets(text, sizeof text, pipe);
    say("popen %s, %x", text, pclose(pipe));
    close(fd), close(9);
}

int main(int count, char **arguments)
{
    if (count > 1 && !strcmp(arguments[1], "child")) return child(count, arguments);
    readlink("/proc/self/exe", self, sizeof self);
    const char *d = arguments[1];
    forks(d), clones(d), execs(d), execs_at(d), spawns(d), spawns_of_cancelled_threads(d), systems(d);
    say("end");
    return 0;
}

/* Calls whose pointers lead where there is no memory, and what a program sees of SIGSEGV and SIGBUS beside that. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Behind `edge` there is nothing. */
static char *edge, large[300000];
static sigjmp_buf back;

static void tell(const char *call, long answer)
{
    printf("%s = %ld %s\n", call, answer, answer == -1 ? strerrorname_np(errno) : "");
    fflush(stdout);
}
#define TELL(call) tell(#call, (long)(call))
#define PLACE(fd) tell("  position", lseek(fd, 0, SEEK_CUR))

static void caught(int signal)
{
    siglongjmp(back, signal);
}

static void transfers(int fd)
{
    memset(large, 'x', sizeof large);
    TELL(write(fd, large, 100));
    TELL(write(fd, edge, 10));
    TELL(write(fd, edge - 10, 20));
    PLACE(fd);
    TELL(pwrite(fd, edge, 10, 0));
    lseek(fd, 0, SEEK_SET);
    TELL(read(fd, edge, 10));
    TELL(read(fd, (void *)-1L, 10));
    TELL(read(fd, NULL, 10));
    PLACE(fd);
    TELL(read(fd, edge - 10, 20));
    PLACE(fd);
    TELL(read(fd, edge - 77, 90));
    PLACE(fd);
    TELL(write(fd, large, sizeof large));
    lseek(fd, 0, SEEK_SET);
    TELL(read(fd, edge - 4096, sizeof large));
    PLACE(fd);
    TELL(read(fd, edge, sizeof large));
    PLACE(fd);
    TELL(write(fd, edge - 4096, sizeof large));
    PLACE(fd);
    struct iovec list[] = {{large, 10}, {edge, 10}, {large, 10}};
    lseek(fd, 0, SEEK_SET);
    TELL(readv(fd, list, 3));
    PLACE(fd);
    TELL(writev(fd, list, 3));
    PLACE(fd);
    TELL(writev(fd, list + 1, 2));
    TELL(preadv(fd, (void *)edge, 2, 0));
    TELL(writev(fd, (void *)(edge - sizeof *list), 2));
    TELL(sendfile(fd, fd, (void *)edge, 10));
    TELL(copy_file_range(fd, (void *)edge, fd, NULL, 10, 0));
    unsigned long context = 0;
    void *submitted[] = {edge, (void *)-1L, NULL};
    TELL(syscall(SYS_io_setup, 1, &context));
    TELL(syscall(SYS_io_submit, context, 1, edge));
    for (int at = 0; at < 3; at++)
        TELL(syscall(SYS_io_submit, context, 1, submitted + at));
}

static void structures(int fd)
{
    TELL(stat("f", (void *)edge));
    TELL(fstat(fd, (void *)-1L));
    TELL(statfs("f", (void *)edge));
    TELL(fstatfs(fd, (void *)(edge - 8)));
    TELL(fcntl(fd, F_SETLK, edge));
    TELL(fcntl(fd, F_GETLK, -1L));
    static const struct flock fixed = {.l_type = F_WRLCK, .l_len = 1};
    TELL(fcntl(fd, F_SETLK, &fixed));
    TELL(fcntl(fd, F_OFD_SETLK, &fixed));
    TELL(fcntl(fd, F_GETLK, &fixed));
    TELL(ioctl(fd, FIONBIO, edge));
    TELL(ioctl(fd, FIONREAD, edge));
    TELL(utimensat(AT_FDCWD, "f", (void *)edge, 0));
    TELL(setxattr("f", edge, "v", 1, 0));
    TELL(setxattr("f", "user.x", edge, 1, 0));
    TELL(setxattr("f", "user.x", "v", 1, 0));
    TELL(getxattr("f", "user.x", edge, 1));
    TELL(listxattr("f", edge, 100));
    TELL(syscall(SYS_getcwd, edge, 4096));
    TELL(syscall(SYS_getcwd, NULL, 4096));
    TELL(syscall(SYS_getcwd, NULL, 1));
    TELL(syscall(SYS_getcwd, large, 0));
    TELL(symlink("f", "l"));
    TELL(readlink("l", edge, 10));
}

static void readiness(int fd)
{
    struct pollfd *last = (void *)(edge - sizeof *last), many[70];
    *last = (struct pollfd){fd, POLLIN};
    TELL(poll(last, 1, 0));
    TELL(last->revents);
    TELL(poll(last, 2, 0));
    TELL(poll((void *)edge, 1, 0));
    TELL(poll((void *)-1L, 1, 0));
    TELL(poll(NULL, 1, 0));
    TELL(poll(last, -1, 0));
    TELL(ppoll((void *)edge, 1, NULL, NULL));
    for (int at = 0; at < 70; at++)
        many[at] = (struct pollfd){at == 66 ? fd : -1, POLLOUT};
    TELL(poll(many, 70, -1));
    TELL(many[66].revents);
    struct pollfd more[200], *across = (void *)(edge - 199 * sizeof *across);
    for (int at = 0; at < 200; at++) {
        more[at] = (struct pollfd){at == 190 ? fd : -1, POLLOUT};
        if (at < 199)
            across[at] = more[at];
    }
    TELL(poll(more, 200, -1));
    TELL(more[190].revents);
    TELL(poll(across, 199, -1));
    TELL(across[190].revents);
    TELL(poll(across, 200, -1));
    mprotect(edge - 4096, 4096, PROT_READ);
    TELL(poll(across, 199, -1));
    TELL(poll(across + 198, 1, 0));
    TELL(poll(across + 190, 1, 0));
    mprotect(edge - 4096, 4096, PROT_READ | PROT_WRITE);
    fd_set set, other;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    other = set;
    TELL(select(fd + 1, &set, &other, NULL, NULL));
    TELL(FD_ISSET(fd, &set) + FD_ISSET(fd, &other));
    TELL(select(fd + 1, NULL, NULL, &other, &(struct timeval){0}));
    TELL(FD_ISSET(fd, &other));
    TELL(select(fd + 1, (void *)edge, NULL, NULL, NULL));
    TELL(select(fd + 1, &set, (void *)-1L, NULL, NULL));
    TELL(select(-1, &set, (void *)edge, NULL, NULL));
    TELL(pselect(fd + 1, NULL, NULL, (void *)edge, NULL, NULL));
}

static void paths(void)
{
    char *endless = memset(edge - 3, 'f', 3);
    struct stat metadata;
    for (char **bad = (char *[]){edge, endless, (char *)-1L, (char *)1L, NULL}, **end = bad + 5; bad < end; bad++) {
        TELL(stat(*bad, &metadata));
        TELL(lstat(*bad, &metadata));
        TELL(open(*bad, O_RDONLY));
        TELL(access(*bad, F_OK));
        TELL(unlink(*bad));
        TELL(rename(*bad, "x"));
        TELL(rename("f", *bad));
        TELL(mkdir(*bad, 0700));
        TELL(symlink(*bad, "s"));
        TELL(chdir(*bad));
        TELL(truncate(*bad, 0));
        TELL(chmod(*bad, 0));
    }
}

/* A map of a file that has been cut short is no memory either. */
static void maps(int fd)
{
    int other = open("m", O_RDWR | O_CREAT, 0600);
    ftruncate(other, 8192);
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
    map[0] = 1;
    TELL(pread(fd, map, 8192, 0));
    ftruncate(other, 4096);
    TELL(pread(fd, map + 4096, 10, 0));
    TELL(pread(fd, map + 4090, 10, 0));
    ftruncate(other, 0);
    TELL(pread(fd, map, 8192, 0));
    TELL(pwrite(fd, map, 8192, 0));
}

static void signals(int fd)
{
    struct sigaction action;
    TELL(sigaction(SIGSEGV, NULL, &action));
    printf("default %d %x\n", action.sa_handler == SIG_DFL, action.sa_flags);
    signal(SIGBUS, caught);
    TELL(sigaction(SIGBUS, NULL, &action));
    printf("set %d %x %d\n", action.sa_handler == caught, action.sa_flags, sigismember(&action.sa_mask, SIGBUS));
    printf("before %d\n", sigaction(SIGSEGV, &action, NULL));
    TELL(read(fd, edge, 10));
    int by = sigsetjmp(back, 1);
    if (by == 0)
        *edge = 1;
    printf("caught %d\n", by == SIGSEGV);
    by = sigsetjmp(back, 1);
    if (by == 0)
        kill(getpid(), SIGBUS);
    printf("caught %d\n", by == SIGBUS);
    TELL(read(fd, edge, 10));
    action.sa_flags = SA_RESETHAND;
    sigaction(SIGSEGV, &action, NULL);
    if (sigsetjmp(back, 1) == 0)
        *edge = 1;
    sigaction(SIGSEGV, NULL, &action);
    printf("once %d\n", action.sa_handler == SIG_DFL);
    printf("back %d\n", signal(SIGBUS, SIG_IGN) == caught);
    kill(getpid(), SIGBUS);
    printf("ignored %d\n", signal(SIGBUS, SIG_DFL) == SIG_IGN);
    fflush(stdout);
    for (int way = 0; way < 4; way++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            TELL(read(fd, edge, 10));
            way == 0 ? (void)(*edge = 1) : way == 1 ? (void)kill(getpid(), SIGSEGV) : way == 2 ? (void)raise(SIGBUS)
                : (void)execlp("sh", "sh", "-c", "kill -SEGV $$", NULL);
            pause();
        }
        waitpid(child, &status, 0);
        printf("ended by %d\n", WTERMSIG(status));
    }
}

int main(int argc, char **argv)
{
    chdir(argv[1]);
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    edge = memory + 4096;
    mprotect(edge, 4096, PROT_NONE);
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
    transfers(fd);
    structures(fd);
    readiness(fd);
    paths();
    maps(fd);
    signals(fd);
    return 0;
}

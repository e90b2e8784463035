/* A program that enters the kernel by itself beside libc: on descriptors that libc has opened, and the other way round; by numbers that the
   compiler knows and by one that it does not. In the directory of the argument. */
#include "transcript.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>

#define ENTER(number, a, b, c, d)                                                                                     \
    ({                                                                                                                \
        long answer;                                                                                                  \
        register long fourth asm("r10") = (long)(d);                                                                  \
        asm volatile("syscall"                                                                                        \
                     : "=a"(answer)                                                                                   \
                     : "a"((long)(number)), "D"((long)(a)), "S"((long)(b)), "d"((long)(c)), "r"(fourth)               \
                     : "rcx", "r11", "memory");                                                                       \
        answer;                                                                                                       \
    })

__attribute__((noinline)) static long enter(long number, long a, long b, long c, long d)
{
    return ENTER(number, a, b, c, d);
}

/* The bytes of the instruction within another. */
__attribute__((noinline)) static unsigned constant(unsigned value)
{
    return value * 0x0f050f05u + 0x050fu;
}

static void transfers(void)
{
    char text[64] = "";
    struct stat own, libcs;
    struct iovec parts[] = {{text, 2}, {text + 2, 3}};
    int fd = open(in("file"), O_RDWR | O_CREAT, 0644);
    errno = 123;
    say("write %ld\n", ENTER(SYS_write, fd, "some text", 9, 0));
    say("pwrite %ld\n", enter(SYS_pwrite64, fd, (long)"X", 1, 1));
    say("lseek %ld\n", ENTER(SYS_lseek, fd, 0, SEEK_SET, 0));
    say("readv %ld\n", ENTER(SYS_readv, fd, parts, 2, 0));
    say("read %.5s\n", text);
    say("fstat %ld\n", ENTER(SYS_fstat, fd, &own, 0, 0));
    say("ftruncate %ld\n", enter(SYS_ftruncate, fd, 4, 0, 0));
    say("fallocate %ld\n", ENTER(SYS_fallocate, fd, 0, 0, 8192));
    say("flock %ld\n", ENTER(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0));
    say("fcntl %lx\n", ENTER(SYS_fcntl, fd, F_GETFL, 0, 0) & (O_ACCMODE | O_APPEND));
    say("duplicate %d\n", ENTER(SYS_fcntl, fd, F_DUPFD, 50, 0) >= 50);
    say("fails %ld %ld\n", ENTER(SYS_read, -1, text, 1, 0), ENTER(SYS_pread64, fd, 8, 1, 0));
    say("errno %d\n", errno);
    stat(in("file"), &libcs);
    say("same %d %ld %d\n", own.st_ino == libcs.st_ino, libcs.st_size, constant(0) == 0x050f);

    int other = ENTER(SYS_openat, AT_FDCWD, in("other"), O_RDWR | O_CREAT, 0600);
    say("its own %d %zd\n", other > fd, write(other, "twice", 5));
    say("by libc %zd\n", pread(other, text, 5, 0));
    say("read %.5s\n", text);
    say("closed %ld\n", ENTER(SYS_close, other, 0, 0, 0));
    int again = close(other);
    say("again %s\n", error(again));
    say("directory %ld\n", ENTER(SYS_unlinkat, AT_FDCWD, in("other"), 0, 0));
    close(fd);
    say("after close %ld\n", ENTER(SYS_read, fd, text, 1, 0));
}

static void directory_at(void)
{
    char text[16] = "";
    int at = open(directory, O_DIRECTORY);
    int fd = ENTER(SYS_openat, at, "file", O_RDONLY, 0);
    say("at %zd\n", read(fd, text, 3));
    say("mkdirat %ld\n", ENTER(SYS_mkdirat, at, "made", 0755, 0));
    say("mkdirat %ld\n", enter(SYS_mkdirat, at, (long)"made", 0755, 0));
    say("unlinkat %ld\n", ENTER(SYS_unlinkat, at, "made", AT_REMOVEDIR, 0));
    close(fd);
    fd = open(in("file"), O_RDONLY);
    say("chdir %ld\n", ENTER(SYS_fchdir, at, 0, 0, 0));
    say("there %d\n", access("file", F_OK));
    close(fd);
    close(at);
}

/* What concerns no file is done with the registers as they are. */
static void others(void)
{
    int word = 5;
    say("own number %d\n", enter(SYS_getpid, 0, 0, 0, 0) == getpid() && ENTER(SYS_gettid, 0, 0, 0, 0) == gettid());
    say("futex %ld\n", enter(SYS_futex, (long)&word, 1, 1, 0));
    say("none %ld\n", enter(9999, 0, 0, 0, 0));
    int fd = open(in("file"), O_RDONLY);
    long child = enter(SYS_clone, SIGCHLD, 0, 0, 0);
    char byte = 0;
    if (child == 0)
        _exit(pread(fd, &byte, 1, 0) == 1 && ENTER(SYS_pread64, fd, &byte, 1, 1) == 1 ? byte : 1);
    int status;
    waitpid(child, &status, 0);
    say("clone %d %x\n", child > 0, status);
    child = ENTER(SYS_fork, 0, 0, 0, 0);
    if (child == 0)
        ENTER(SYS_exit_group, ENTER(SYS_pread64, fd, &byte, 1, 0), 0, 0, 0);
    waitpid(child, &status, 0);
    say("fork %d %x\n", child > 0, status);
    close(fd);
}

static volatile sig_atomic_t handled;
static int host = -1;

static void transfer_in_handler(int signal)
{
    char byte;
    handled += enter(SYS_pread64, host, (long)&byte, 1, 0) == 1;
}

static void count(int signal)
{
    handled++;
}

static void skip(int signal, siginfo_t *info, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
    handled += info->si_signo == SIGILL;
}

static void signals(void)
{
    char byte;
    sigset_t all, before;
    sigfillset(&all);
    host = open(in("file"), O_RDWR);

    pthread_sigmask(SIG_BLOCK, &all, &before);
    say("all blocked %ld %ld\n", ENTER(SYS_pread64, host, &byte, 1, 0), enter(SYS_pread64, host, (long)&byte, 1, 1));
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    say("mask %d %d\n", sigismember(&now, SIGURG), sigismember(&now, SIGKILL));
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    struct sigaction action = {.sa_handler = transfer_in_handler};
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    handled = 0;
    raise(SIGUSR1);
    say("in a handler %d\n", handled);

    /* A call that waits is interrupted, or goes on. */
    mkfifo(in("fifo"), 0600);
    int fifo = open(in("fifo"), O_RDWR);
    action.sa_handler = count;
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 0}, {0, 100000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    handled = 0;
    say("interrupted %ld\n", ENTER(SYS_read, fifo, &byte, 1, 0));
    say("handled %d\n", handled);
    close(fifo);

    struct sigaction own = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO}, old = {0};
    sigfillset(&own.sa_mask);
    say("sigaction %d\n", sigaction(SIGILL, &own, &old));
    say("before %d\n", old.sa_handler == SIG_DFL);
    handled = 0;
    asm volatile("ud2");
    fifo = open(in("fifo"), O_RDWR);
    setitimer(ITIMER_REAL, &timer, NULL);
    say("interrupted %ld\n", ENTER(SYS_read, fifo, &byte, 1, 0));
    close(fifo);
    handled = 0;
    asm volatile("ud2");
    say("its own fault %d, then %ld\n", handled, ENTER(SYS_pread64, host, &byte, 1, 0));
    say("sigaction %d\n", sigaction(SIGILL, &old, &own));
    say("told %d\n", own.sa_sigaction == skip);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGILL, SIG_DFL);
        asm volatile("ud2");
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    say("ends by %d\n", WTERMSIG(status));
    signal(SIGILL, SIG_IGN);
    say("ignored %ld\n", ENTER(SYS_pread64, host, &byte, 1, 0));
    signal(SIGILL, SIG_DFL);
}

static void *reads(void *unused)
{
    long done = 0;
    char byte;
    for (int turn = 0; turn < 2000; turn++)
        done += enter(SYS_pread64, host, (long)&byte, 1, turn % 8) + ENTER(SYS_pread64, host, &byte, 1, 0);
    return (void *)done;
}

static void threads(void)
{
    pthread_t all[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&all[i], NULL, reads, NULL);
    for (int i = 0; i < 4; i++) {
        void *done;
        pthread_join(all[i], &done);
        say("thread %ld\n", (long)done);
    }
}

/* An image that begins with all signals blocked, and a child of vfork(2). */
static void image(char *program)
{
    sigset_t all, before;
    char *arguments[] = {program, "blocked", (char *)in("file"), NULL};
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t child = fork();
    if (child == 0) {
        /* Past all hooks, if there are any. */
        unsigned long mask = -1;
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
        execv(program, arguments);
        _exit(9);
    }
    int status;
    waitpid(child, &status, 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    say("image %x\n", status);
    child = ENTER(SYS_vfork, 0, 0, 0, 0);
    if (child == 0)
        _exit(3);
    waitpid(child, &status, 0);
    say("vfork %x\n", status);
}

static int blocked(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY);
    return ENTER(SYS_pread64, fd, &byte, 1, 0) == 1 ? 5 : 6;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return blocked(argv[2]);
    begin(argc, argv);
    transfers();
    directory_at();
    others();
    signals();
    threads();
    image(argv[0]);
    close(host);
    return 0;
}

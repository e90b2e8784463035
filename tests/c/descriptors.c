/* Descriptor numbers, duplicates, flags, positions and readiness, as the calls answer them. */
#define _GNU_SOURCE
#include "plain.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char name[4096];
static const char *in(const char *directory, const char *file) {
    snprintf(name, sizeof name, "%s/%s", directory, file);
    return name;
}

static int make(const char *d, const char *file, const char *text) {
    int fd = open(in(d, file), O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (text) write(fd, text, strlen(text));
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void numbers(const char *d) {
    int a = make(d, "a", "aaaa"), b = make(d, "b", "bbbb");
    int local = open("/dev/null", O_RDONLY);
    say("open %d %d %d", a, b, local);
    close(a);
    int pair[2];
    pipe(pair);
    say("a pipe fills the gap: %d %d", pair[0], pair[1]);
    close(pair[0]);
    a = open(in(d, "a"), O_RDONLY);
    say("reuse %d", a);
    close(a), close(b);
    int again = open(in(d, "b"), O_RDONLY), null = open("/dev/null", O_RDONLY);
    say("lowest first %d %d", again, null);
    close(null);
    close(local);
    int low = open(in(d, "b"), O_RDONLY);
    say("below a reserved one %d", low);
    close(again), close(low), close(pair[1]);
    for (int i = 0; i < 4; i++) { int x = open(in(d, "b"), O_RDONLY); say("again %d", x); close(x); }
    int x = open(in(d, "b"), O_RDONLY);
    int y = open(in(d, "b"), O_RDONLY);
    close(x);
    say("F_GETFD of closed %d %s", fcntl(x, F_GETFD), why());
    say("fstat of closed %d %s", fstat(x, &(struct stat){0}), why());
    say("dup of closed %d %s", dup(x), why());
    say("dup2 of closed %d %s", dup2(x, x), why());
    say("close of closed %d %s", close(x), why());
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    say("a socket takes its place %d", s);
    close(s), close(y);
}

static void duplicates(const char *d) {
    char text[16] = {0};
    int host = make(d, "dup", "0123456789"), local = open("/dev/zero", O_RDONLY);
    int copy = dup(host);
    say("dup %d", copy);
    read(host, text, 3);
    say("position is shared %ld", (long)lseek(copy, 0, SEEK_CUR));
    say("F_DUPFD %d", fcntl(host, F_DUPFD, 20));
    say("F_DUPFD again %d", fcntl(host, F_DUPFD, 20));
    int high = fcntl(host, F_DUPFD_CLOEXEC, 30);
    say("F_DUPFD_CLOEXEC %d flags %d %d", high, fcntl(high, F_GETFD), fcntl(host, F_GETFD));
    say("F_DUPFD -1 %d %s", fcntl(host, F_DUPFD, -1), why());
    say("host onto local %d", dup2(host, local));
    say("reads %zd %.3s", read(local, text, 3), text);
    int zero = open("/dev/zero", O_RDONLY);
    say("local onto host %d", dup2(zero, copy));
    say("reads %zd %d", read(copy, text, 1), text[0]);
    say("host onto host %d", dup2(host, high));
    say("flag is cleared %d", fcntl(high, F_GETFD));
    say("dup2 onto itself %d", dup2(host, host));
    say("dup3 onto itself %d %s", dup3(host, host, 0), why());
    say("dup3 flags %d %s", dup3(host, 40, 1), why());
    say("dup3 %d %d", dup3(host, 40, O_CLOEXEC), fcntl(40, F_GETFD));
    say("dup2 to -1 %d %s", dup2(host, -1), why());
    say("dup2 far %d %s", dup2(host, 1 << 30), why());
    say("onto 255 %d", dup2(host, 255));
    say("F_SETFD %d %d", fcntl(255, F_SETFD, FD_CLOEXEC), fcntl(255, F_GETFD));
    say("F_GETFL %x", fcntl(host, F_GETFL) & (O_ACCMODE | O_APPEND));
    say("F_SETFL %d", fcntl(host, F_SETFL, O_APPEND));
    say("shared %x", fcntl(255, F_GETFL) & O_APPEND);
    say("write only %d", open(in(d, "dup"), O_WRONLY | O_APPEND) > 0);
    say("close_range %d", close_range(3, ~0U, 0));
    say("all gone %d %s", fcntl(host, F_GETFD), why());
    int first = open(in(d, "dup"), O_RDONLY);
    say("still at work %d %zd", first, read(first, text, 4));
    for (int fd = 3; fd < 1100; fd++) close(fd);
    first = open(in(d, "dup"), O_RDONLY);
    say("still at work %d %zd", first, read(first, text, 4));
    struct rlimit old, small = {8, 0};
    getrlimit(RLIMIT_NOFILE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &small);
    int most = 0, fd;
    while ((fd = open(in(d, "dup"), O_RDONLY)) >= 0) most = fd;
    say("limit %d %s", most, why());
    setrlimit(RLIMIT_NOFILE, &old);
    closefrom(3);
}

static void positions(const char *d) {
    char text[64] = {0}, more[64] = {0};
    int fd = make(d, "pos", "0123456789");
    say("pread %zd %.4s", pread(fd, text, 4, 3), text);
    say("pread negative %zd %s", pread(fd, text, 4, -1), why());
    say("pwrite negative %zd %s", pwrite(fd, text, 4, -7), why());
    say("position %ld", (long)lseek(fd, 0, SEEK_CUR));
    struct iovec list[3] = {{text, 3}, {more, 2}, {text + 20, 30}};
    say("readv %zd %.3s %.2s %.5s", readv(fd, list, 3), text, more, text + 20);
    say("readv bad %zd %s", readv(fd, list, -1), why());
    say("preadv %zd %.3s", preadv(fd, list, 2, 5), text);
    say("preadv2 %zd", preadv2(fd, list, 1, -1, 0));
    list[0].iov_base = "ab", list[0].iov_len = 2;
    say("pwritev %zd", pwritev(fd, list, 1, 12));
    say("seek end %ld", (long)lseek(fd, 0, SEEK_END));
    say("seek bad %ld %s", (long)lseek(fd, -100, SEEK_SET), why());
    say("seek whence %ld %s", (long)lseek(fd, 0, 99), why());
    say("read at end %zd", read(fd, text, 5));
    say("ftruncate %d %ld", ftruncate(fd, 3), (long)lseek(fd, 0, SEEK_END));
    say("ftruncate bad %d %s", ftruncate(fd, -1), why());
    say("fallocate %d", posix_fallocate(fd, 0, 100));
    say("size %ld", (long)lseek(fd, 0, SEEK_END));
    say("fadvise %d", posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    say("fsync %d %d %d", fsync(fd), fdatasync(fd), syncfs(fd));
    int readonly = open(in(d, "pos"), O_RDONLY);
    say("write to read-only %zd %s", write(readonly, "x", 1), why());
    say("ftruncate read-only %d %s", ftruncate(readonly, 1), why());
    lseek(fd, 10, SEEK_SET);
    int left = -1;
    say("FIONREAD %d %d", ioctl(fd, FIONREAD, &left), left);
    say("isatty %d %s", isatty(fd), why());
    say("TIOCGWINSZ %d %s", ioctl(fd, TIOCGWINSZ, text), why());
    say("null buffer 0 %zd", read(fd, NULL, 0));
    static char big[700000];
    memset(big, 'x', sizeof big);
    say("big write %zd", pwrite(fd, big, sizeof big, 0));
    memset(big, 0, sizeof big);
    say("big read %zd %c%c", pread(fd, big, sizeof big, 0), big[0], big[sizeof big - 1]);
    close(fd), close(readonly);
}

static void readiness(const char *d) {
    int fd = make(d, "ready", "x"), pair[2];
    pipe(pair);
    struct pollfd list[3] = {{fd, POLLIN | POLLOUT, 0}, {pair[0], POLLIN, 0}, {-1, POLLIN, 0}};
    say("poll %d %x %x", poll(list, 3, -1), list[0].revents, list[1].revents);
    write(pair[1], "y", 1);
    say("poll %d %x %x fd %d", poll(list, 3, 1000), list[0].revents, list[1].revents, list[0].fd == fd);
    fd_set r, w;
    FD_ZERO(&r); FD_ZERO(&w);
    FD_SET(fd, &r); FD_SET(pair[0], &r); FD_SET(fd, &w);
    int selected = select(pair[1] + 1, &r, &w, NULL, NULL);
    say("select %d %d %d %d", selected, FD_ISSET(fd, &r) != 0, FD_ISSET(pair[0], &r) != 0, FD_ISSET(fd, &w) != 0);
    int closed = dup(pair[0]);
    close(closed);
    FD_ZERO(&r); FD_ZERO(&w);
    FD_SET(fd, &r); FD_SET(closed, &r); FD_SET(fd, &w);
    selected = select(closed + 1, &r, NULL, &w, NULL);
    say("select fails %d %s %d %d", selected, why(), FD_ISSET(fd, &r) != 0, FD_ISSET(fd, &w) != 0);
    for (int way = 0; way < 2; way++) {
        struct timespec none = {0};
        say("poll by number %ld %x", way ? syscall(SYS_poll, list, 3, 0) : syscall(SYS_ppoll, list, 3, &none, NULL, 8), list[0].revents);
        FD_ZERO(&r); FD_SET(fd, &r);
        selected = way ? syscall(SYS_select, fd + 1, &r, NULL, NULL, NULL) : syscall(SYS_pselect6, fd + 1, &r, NULL, NULL, NULL, NULL);
        say("select by number %d %d", selected, FD_ISSET(fd, &r) != 0);
    }
    int epoll = epoll_create1(0);
    say("epoll by number %ld %s", syscall(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN}), why());
    struct epoll_event event = {EPOLLIN, {0}};
    say("epoll %d %s", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), why());
    close(fd), close(pair[0]), close(pair[1]), close(epoll);
}

static void copies(const char *d) {
    char text[64];
    int from = make(d, "from", "0123456789"), to = make(d, "to", NULL), pair[2];
    loff_t at = 2;
    say("copy_file_range %zd %ld", copy_file_range(from, &at, to, NULL, 5, 0), (long)at);
    at = 1;
    say("sendfile %zd %ld", sendfile(to, from, &at, 3), (long)at);
    say("sendfile %zd", sendfile(to, from, NULL, 100));
    say("result %zd", pread(to, text, sizeof text, 0));
    say("%.18s", text);
    pipe(pair);
    lseek(from, 0, SEEK_SET);
    say("to a pipe %zd", sendfile(pair[1], from, NULL, 4));
    say("arrived %zd %.4s", read(pair[0], text, sizeof text), text);
    close(from), close(to), close(pair[0]), close(pair[1]);
}

static void locks(const char *d) {
    int fd = make(d, "lock", "0123456789");
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
    say("F_SETLK %d", fcntl(fd, F_SETLK, &lock));
    say("lockf %d", (lseek(fd, 8, SEEK_SET), lockf(fd, F_TLOCK, 1)));
    fflush(stdout);
    if (fork() == 0) {
        struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 5};
        say("F_GETLK %d type %d start %ld len %ld", fcntl(fd, F_GETLK, &asked), asked.l_type == F_WRLCK, (long)asked.l_start, (long)asked.l_len);
        say("conflict %d", fcntl(fd, F_SETLK, &(struct flock){.l_type = F_WRLCK, .l_start = 3, .l_len = 1}));
        say("errno %s", errno == EACCES || errno == EAGAIN ? "again" : why());
        say("lockf %d", (lseek(fd, 8, SEEK_SET), lockf(fd, F_TEST, 1)));
        say("flock %d", flock(fd, LOCK_EX | LOCK_NB));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    int other = open(in(d, "lock"), O_RDWR);
    say("flock held by nobody else %d", flock(other, LOCK_EX | LOCK_NB) == -1);
    lock.l_type = F_UNLCK;
    say("unlock %d", fcntl(fd, F_SETLK, &lock));
    struct flock ofd = {.l_type = F_WRLCK, .l_len = 1};
    say("OFD %d", fcntl(fd, F_OFD_SETLK, &ofd));
    say("OFD conflict %d %s", fcntl(other, F_OFD_SETLK, &ofd), why());
    close(fd), close(other);
}

static volatile int beats;
static int signal_fd;
static void beat(int signal) {
    char c;
    (void)signal;
    if (pread(signal_fd, &c, 1, 0) == 1 && c == 's') beats++;
}

/* A handler that does host I/O while calls are in flight; and a blocked lock that a signal ends. */
static void signals(const char *d) {
    signal_fd = make(d, "sig", "sss");
    struct sigaction action = {.sa_handler = beat, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 500}, {0, 500}};
    setitimer(ITIMER_REAL, &timer, NULL);
    struct stat s;
    int failures = 0;
    for (int i = 0; i < 20000; i++) failures += stat(in(d, "sig"), &s) != 0 || s.st_size != 3;
    timer = (struct itimerval){{0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    say("failures %d, beats %d", failures, beats > 0);
    action.sa_flags = 0;
    sigaction(SIGALRM, &action, NULL);
    int other = open(in(d, "sig"), O_RDWR);
    flock(signal_fd, LOCK_EX);
    timer.it_value.tv_usec = 50000;
    setitimer(ITIMER_REAL, &timer, NULL);
    say("interrupted %d %s", flock(other, LOCK_EX), why());
    close(signal_fd), close(other);
}

static void *work(void *argument) {
    const char *d = argument;
    char path[4096];
    long bad = 0;
    for (int i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "%s/thread-%lx-%d", d, (long)pthread_self(), i % 7);
        int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
        char text[8] = {0};
        bad += fd < 0 || write(fd, path, 8) != 8 || pread(fd, text, 8, 0) != 8 || memcmp(text, path, 8) || close(fd) || unlink(path);
    }
    return (void *)bad;
}

static void threads(const char *d) {
    pthread_t all[8];
    long bad = 0;
    for (int i = 0; i < 8; i++) pthread_create(&all[i], NULL, work, (void *)d);
    for (int i = 0; i < 8; i++) { void *one; pthread_join(all[i], &one); bad += (long)one; }
    say("threads %ld", bad);
}

int main(int count, char **arguments) {
    (void)count;
    const char *d = arguments[1];
    setvbuf(stdout, NULL, _IONBF, 0);
    numbers(d), duplicates(d), positions(d), readiness(d), copies(d), locks(d), signals(d), threads(d);
    return 0;
}

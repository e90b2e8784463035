/* Waiting for FIFOs, alone and beside what is the guest's own: poll(2) and select(2), their limits, signals and refusals. */
#define _GNU_SOURCE
#include "plain.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

static char path[4096];
static int fifo, own[2];
static volatile sig_atomic_t handled;

static void handle(int signal) {
    handled++;
}

static void on_signal(int signal, int flags) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    sigaction(signal, &action, NULL);
}

/* Writes to a file of the parent's after so many milliseconds. */
static void write_later(int fd, int milliseconds) {
    if (fork() == 0) {
        usleep(milliseconds * 1000);
        write(fd, "x", 1);
        _exit(0);
    }
}

/* Has a signal come after a while, and then again and again, so that one meets the call. */
static void signal_later(int signal) {
    on_signal(signal, SA_RESTART);
    handled = 0;
    struct itimerval timer = {{0, 200000}, {0, 50000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void signal_no_more(void) {
    struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    say("a signal came: %d", handled > 0);
}

static void drain(int fd) {
    char byte;
    read(fd, &byte, 1);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

static void polled(const char *what, struct pollfd *list, int count, int limit) {
    errno = 0;
    int ready = poll(list, count, limit);
    int error = errno;
    char text[256];
    int length = 0;
    for (int i = 0; i < count; i++)
        length += sprintf(text + length, " %x", list[i].revents);
    errno = error;
    say("%s: poll %d %s%s", what, ready, ready < 0 ? why() : "", text);
}

/* What stands in `sets` is asked of the FIFO: r, w, e; and `r` of the guest's own pipe, if `beside`. */
static int selected(const char *what, const char *sets, int beside, struct timeval *limit) {
    fd_set set[3];
    for (int i = 0; i < 3; i++) {
        FD_ZERO(&set[i]);
        if (strchr(sets, "rwe"[i]))
            FD_SET(fifo, &set[i]);
    }
    if (beside)
        FD_SET(own[0], &set[0]);
    errno = 0;
    int ready = select(FD_SETSIZE, &set[0], &set[1], strchr(sets, 'e') ? &set[2] : NULL, limit);
    say("%s: select %d %s %d %d %d, own %d", what, ready, ready < 0 ? why() : "", FD_ISSET(fifo, &set[0]) != 0,
        FD_ISSET(fifo, &set[1]) != 0, FD_ISSET(fifo, &set[2]) != 0, FD_ISSET(own[0], &set[0]) != 0);
    return ready;
}

static void lists(const char *directory) {
    struct pollfd one = {fifo, POLLIN, 9};
    polled("empty", &one, 1, 0);
    polled("for a while", &one, 1, 30);
    struct pollfd both[2] = {{fifo, POLLIN, 9}, {own[0], POLLIN, 9}};
    polled("both for a while", both, 2, 30);
    struct pollfd twice[2] = {{fifo, POLLIN, 9}, {fifo, POLLIN | POLLOUT, 9}};
    polled("twice", twice, 2, -1);
    write_later(fifo, 100);
    polled("until it is written to", &one, 1, -1);
    drain(fifo);
    write_later(fifo, 100);
    polled("beside an empty pipe", both, 2, -1);
    drain(fifo);
    write_later(own[1], 100);
    polled("beside a pipe that is written to", both, 2, 100000);
    drain(own[0]);
    write(fifo, "x", 1);
    struct pollfd all = {fifo, -1, 9};
    polled("with data", &all, 1, 0);
    write(own[1], "x", 1);
    polled("both with data", both, 2, -1);
    drain(fifo), drain(own[0]);
    int file = open("/proc/self/exe", O_RDONLY), host = open(path, O_PATH);
    struct pollfd mixed[6] = {{fifo, POLLIN, 9}, {-1, POLLIN, 9}, {~fifo, POLLIN, 9}, {file, POLLIN, 9}, {host, POLLIN, 9}, {-fifo, 7, 9}};
    polled("with others", mixed, 6, -1);
    say("numbers are kept %d %d", mixed[0].fd == fifo && mixed[2].fd == ~fifo && mixed[4].fd == host, mixed[5].fd == -fifo);
    char name[4200];
    snprintf(name, sizeof name, "%s/regular", directory);
    int regular = open(name, O_RDWR | O_CREAT, 0600);
    for (int turn = 0; turn < 2; turn++) {
        struct pollfd files[2] = {{regular, -1, 9}, {fifo, POLLIN, 9}};
        polled("beside a regular file", files, 2, -1);
        struct pollfd urgent = {regular, POLLPRI, 9};
        polled("what a regular file never has", &urgent, 1, 5);
    }
    /* The number of a file that was always ready is another's. */
    dup2(fifo, regular);
    struct pollfd again = {regular, POLLIN, 9};
    polled("under a regular file's number", &again, 1, 20);
    close(regular), close(host), close(file);
    struct pollfd closed = {regular, POLLIN, 9};
    polled("closed", &closed, 1, -1);
    errno = 0;
    say("no list %d %s", poll(NULL, 2, 0), why());
}

static void sets(void) {
    struct timeval limit = {60, 0};
    selected("writable", "rwe", 1, &limit);
    say("time is left %d", limit.tv_sec >= 50);
    limit = (struct timeval){0, 30000};
    selected("for a while", "re", 0, &limit);
    say("left %ld %ld", limit.tv_sec, limit.tv_usec);
    limit = (struct timeval){0, 30000};
    selected("both for a while", "r", 1, &limit);
    say("left %ld %ld", limit.tv_sec, limit.tv_usec);
    for (int beside = 0; beside < 2; beside++) {
        limit = (struct timeval){100, 0};
        write_later(fifo, 100);
        selected("until it is written to", "r", beside, &limit);
        say("time has passed %d", limit.tv_sec < 100 && limit.tv_sec > 50);
        drain(fifo);
    }
    write_later(own[1], 100);
    selected("until the other is written to", "r", 1, NULL);
    drain(own[0]);
    limit = (struct timeval){0, -1};
    selected("no time", "r", 1, &limit);
    limit = (struct timeval){-1, 0};
    selected("no time", "r", 0, &limit);
    int closed = dup(own[0]);
    close(closed);
    fd_set read;
    FD_ZERO(&read); FD_SET(fifo, &read); FD_SET(closed, &read);
    errno = 0;
    say("closed %d %s", select(FD_SETSIZE, &read, NULL, NULL, NULL), why());
    int named = open(path, O_PATH);
    struct timeval none = {0};
    FD_ZERO(&read); FD_SET(named, &read);
    int ready = select(named + 1, &read, NULL, NULL, &none);
    say("named only %d %d", ready, FD_ISSET(named, &read) != 0);
    close(named);
}

static void ends(void) {
    int reader = open(path, O_RDONLY | O_NONBLOCK), writer = open(path, O_WRONLY | O_NONBLOCK), both = fifo;
    struct pollfd list[2] = {{reader, -1, 9}, {writer, -1, 9}};
    polled("two ends", list, 2, 0);
    close(both);
    close(writer);
    polled("hung up", list, 1, -1);
    fifo = reader;
    struct timeval limit = {0, 20000};
    selected("hung up", "rwe", 0, NULL);
    selected("nothing to be had of it", "we", 0, &limit);
    writer = open(path, O_WRONLY | O_NONBLOCK);
    close(reader);
    list[0] = (struct pollfd){writer, 0, 9};
    polled("broken", list, 1, -1);
    fifo = writer;
    selected("broken", "rw", 1, NULL);
    close(writer);
    fifo = open(path, O_RDWR | O_NONBLOCK);
}

static void signals(void) {
    struct pollfd list[2] = {{fifo, POLLIN, 9}, {own[0], POLLIN, 9}};
    struct timeval limit = {100, 0};
    for (int count = 1; count <= 2; count++) {
        signal_later(SIGALRM);
        polled("interrupted", list, count, -1);
        signal_no_more();
        signal_later(SIGALRM);
        selected("interrupted", "r", count - 1, &limit);
        signal_no_more();
    }
    say("time has passed %d", limit.tv_sec < 100);
    sigset_t blocked, none;
    sigemptyset(&blocked), sigaddset(&blocked, SIGUSR1), sigemptyset(&none);
    on_signal(SIGUSR1, 0);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    struct timespec now = {0}, long_time = {100, 0};
    for (int count = 1; count <= 2; count++) {
        handled = 0;
        raise(SIGUSR1);
        list[0].events = POLLOUT;
        int ready = ppoll(list, count, NULL, &none);
        say("ready first %d, handled %d", ready, handled);
        list[0].events = POLLIN;
        errno = 0;
        ready = ppoll(list, count, &now, &none);
        say("a pending signal ends even a look %d %s, handled %d", ready, why(), handled);
        ready = ppoll(list, count, &now, &none);
        say("once %d, handled %d", ready, handled);
        fd_set read;
        FD_ZERO(&read); FD_SET(fifo, &read);
        if (count == 2)
            FD_SET(own[0], &read);
        if (fork() == 0) {
            usleep(100000);
            kill(getppid(), SIGUSR1);
            _exit(0);
        }
        errno = 0;
        ready = pselect(FD_SETSIZE, &read, NULL, NULL, &long_time, &none);
        say("a signal that is let in ends it %d %s, handled %d, asked for %d, time %ld", ready, why(), handled,
            FD_ISSET(fifo, &read) != 0, long_time.tv_sec);
        while (waitpid(-1, NULL, 0) > 0)
            ;
        /* Those that stay out do not. */
        raise(SIGUSR1);
        write_later(fifo, 50);
        ready = ppoll(list, count, NULL, &blocked);
        say("written to %d, handled %d", ready, handled);
        drain(fifo);
        sigset_t before;
        sigprocmask(SIG_SETMASK, NULL, &before);
        say("blocked still %d", sigismember(&before, SIGUSR1));
        sigsuspend(&none);
    }
    /* What is ready at once is told before a signal is heard of; a look alone lets none in. */
    char name[4200];
    snprintf(name, sizeof name, "%s.regular", path);
    int regular = open(name, O_RDWR | O_CREAT, 0600);
    struct pollfd files[2] = {{regular, POLLIN, 9}, {fifo, POLLIN, 9}};
    for (int count = 1; count <= 2; count++) {
        handled = 0;
        raise(SIGUSR1);
        say("ready at once %d, handled %d", poll(files, count, 0), handled);
        say("and with a mask %d, handled %d", ppoll(files, count, &now, &none), handled);
        say("nothing ready %d, handled %d", poll(files + 1, 1, 0), handled);
        sigsuspend(&none);
        fd_set read;
        FD_ZERO(&read); FD_SET(regular, &read);
        raise(SIGUSR1);
        say("select %d, handled %d", pselect(regular + 1, &read, NULL, NULL, &now, &none), handled);
        sigsuspend(&none);
    }
    close(regular);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
}

static void by_number(void) {
    struct pollfd list[2] = {{fifo, POLLIN, 9}, {own[0], POLLIN, 9}};
    struct timespec limit = {0, 20000000}, wrong = {0, 1000000000};
    for (int count = 1; count <= 2; count++) {
        limit = (struct timespec){0, 20000000};
        int ready = syscall(SYS_ppoll, list, count, &limit, NULL, 8);
        say("ppoll %d, left %ld %ld", ready, limit.tv_sec, limit.tv_nsec);
        limit = (struct timespec){100, 0};
        write_later(fifo, 50);
        ready = syscall(SYS_ppoll, list, count, &limit, NULL, 8);
        say("ppoll %d %x, left %d", ready, list[0].revents, limit.tv_sec < 100 && limit.tv_sec > 50);
        fd_set read;
        FD_ZERO(&read); FD_SET(fifo, &read);
        ready = syscall(SYS_pselect6, FD_SETSIZE, &read, NULL, NULL, NULL, NULL);
        say("pselect %d %d", ready, FD_ISSET(fifo, &read) != 0);
        drain(fifo);
        errno = 0;
        ready = syscall(SYS_ppoll, list, count, &wrong, NULL, 8);
        say("ppoll %d %s", ready, why());
        unsigned long mask = 0;
        ready = syscall(SYS_ppoll, list, count, &limit, &mask, 4);
        say("ppoll %d %s", ready, why());
        ready = syscall(SYS_ppoll, list, count, (void *)8, &mask, 8);
        say("ppoll %d %s", ready, why());
        struct { void *mask; unsigned long size; } masks = {&mask, 4};
        ready = syscall(SYS_pselect6, FD_SETSIZE, &read, NULL, NULL, &limit, &masks);
        say("pselect %d %s", ready, why());
#ifdef SYS_poll
        ready = syscall(SYS_poll, list, count, 10);
        say("poll %d", ready);
        struct timeval time = {0, 10000};
        ready = syscall(SYS_select, FD_SETSIZE, &read, NULL, NULL, &time);
        say("select %d, left %ld %ld", ready, time.tv_sec, time.tv_usec);
#endif
    }
}

int main(int argc, char **argv) {
    snprintf(path, sizeof path, "%s/fifo", argv[1]);
    mkfifo(path, 0600);
    pipe(own);
    fifo = open(path, O_RDWR | O_NONBLOCK);
    lists(argv[1]);
    sets();
    ends();
    signals();
    by_number();
    return 0;
}

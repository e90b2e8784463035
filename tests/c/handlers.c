/* What handlers of signals find, and what they may leave, while a call waits: poll(2), posix_spawn(3), system(3). In the directory of the
   argument. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static sigjmp_buf before;

static void leave(int signal) {
    siglongjmp(before, 1);
}

/* A list stays the program's own while its files are waited for. */
static void leaves_a_poll(int fifo, int own, int count) {
    struct pollfd list[] = {{.fd = fifo, .events = POLLIN}, {.fd = own, .events = POLLIN}};
    char byte;
    signal(SIGALRM, leave);
    if (sigsetjmp(before, 1) == 0) {
        struct itimerval timer = {{0, 0}, {0, 200000}};
        setitimer(ITIMER_REAL, &timer, NULL);
        poll(list, count, -1);
    }
    write(fifo, "x", 1);
    int ready = poll(list, count, 60000);
    printf("left: same list %d, then %d, %x\n", list[0].fd == fifo, ready, list[0].revents);
    read(fifo, &byte, 1);
}

static volatile pid_t spawned;
static volatile sig_atomic_t ended, known;

static void note(int signal) {
    for (pid_t child; (child = waitpid(-1, NULL, WNOHANG)) > 0; ended++)
        known += child == spawned;
}

/* The number of a child is written before its end can be told of. */
static void spawns(void) {
    char *arguments[] = {"true", NULL};
    signal(SIGCHLD, note);
    for (int turn = 0; turn < 50; turn++) {
        spawned = -1;
        if (posix_spawn((pid_t *)&spawned, "/bin/true", NULL, NULL, arguments, environ) != 0)
            break;
        while (ended <= turn)
            usleep(1000);
    }
    printf("spawned: %d, known %d\n", ended, known);
    signal(SIGCHLD, SIG_DFL);
}

static pid_t parent;
static volatile int *strays;

static void look(int signal) {
    strays[getpid() != parent]++;
}

/* A child that is about to be another program has none of the handlers: they would act on what it shares with its parent. */
static void spawns_under_signals(void) {
    char *arguments[] = {"true", NULL};
    strays = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    parent = getpid();
    pid_t other = fork();
    if (other == 0)
        for (;;)
            kill(0, SIGWINCH);
    signal(SIGWINCH, look);
    int done = 0;
    for (int turn = 0; turn < 30; turn++) {
        pid_t child;
        done += posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0 && waitpid(child, NULL, 0) == child;
    }
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    signal(SIGWINCH, SIG_DFL);
    printf("under signals: %d, handled %d, by children %d\n", done, strays[0] > 0, strays[1]);
}

static void *runs(void *unused) {
    for (int turn = 0; turn < 20; turn++)
        system("true");
    return NULL;
}

/* Commands of two threads leave the signals of a keyboard as they were. */
static void runs_two_at_once(void) {
    pthread_t others[2];
    struct sigaction action;
    signal(SIGINT, SIG_DFL);
    for (int at = 0; at < 2; at++)
        pthread_create(&others[at], NULL, runs, NULL);
    for (int at = 0; at < 2; at++)
        pthread_join(others[at], NULL);
    sigaction(SIGINT, NULL, &action);
    printf("interrupts heeded: %d\n", action.sa_handler == SIG_DFL);
}

int main(int count, char **arguments) {
    int own[2];
    setpgid(0, 0);
    if (chdir(arguments[1]) != 0 || mkfifo("fifo", 0600) != 0 || pipe(own) != 0)
        return 1;
    int fifo = open("fifo", O_RDWR);
    leaves_a_poll(fifo, own[0], 1);
    leaves_a_poll(fifo, own[0], 2);
    spawns();
    spawns_under_signals();
    runs_two_at_once();
    return 0;
}

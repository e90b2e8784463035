/* What cancelled threads have left behind: by their type, by handlers that have left their calls, by being many. In a directory of its own. */
#include "cancel.h"

static intptr_t polls_two(void)
{
    struct pollfd two[] = {{fifo, POLLIN}, {other, POLLIN}};
    return poll(two, 2, -1);
}

/* Who was to be cancelled at any instant is not any more. */
static intptr_t is_sudden_no_more(void)
{
    int first = -1, second = -1, third = -1;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &first);
    fcntl(file, F_GETFL);
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &second);
    fcntl(file, F_GETFL);
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &third);
    say("types %d %d %d", first, second, third);
    return 7;
}

/* Calls that a handler leaves leave nothing behind. */
static sigjmp_buf back;

static void leave(int signal)
{
    siglongjmp(back, 1);
}

static void leave_after(int milliseconds)
{
    struct itimerval timer = {{0, 0}, {0, milliseconds * 1000}};
    signal(SIGALRM, leave);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void *leaves(void *unused)
{
    char byte;
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
    if (sigsetjmp(back, 1) == 0) {
        leave_after(100);
        read(fifo, &byte, 1);
    }
    say("left a read, state %d", state());
    if (sigsetjmp(back, 1) == 0) {
        leave_after(100);
        flock(other, LOCK_EX);
        syscall(SYS_read, fifo, &byte, 1);
    }
    say("left a call by number, state %d", state());
    began = 1;
    return (void *)writes();
}

static void left(void)
{
    sigset_t alarm;
    pthread_t thread;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    began = cleaned = destroyed = 0;
    pthread_create(&thread, NULL, leaves, NULL);
    settle();
    pthread_cancel(thread);
    end("left calls", thread);
    pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
}

/* More than there are lanes for. */
static void crowd(void)
{
    enum { MOST = 100 };
    pthread_t threads[MOST];
    int ended = 0;
    for (int at = 0; at < MOST; at++) {
        began = 0;
        pthread_create(&threads[at], NULL, run, polls_two);
        while (!began)
            sched_yield();
    }
    usleep(100000);
    for (int at = 0; at < MOST; at++)
        pthread_cancel(threads[at]);
    for (int at = 0; at < MOST; at++) {
        void *result;
        pthread_join(threads[at], &result);
        ended += result == PTHREAD_CANCELED;
    }
    say("crowd: %d", ended);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        chdir(argv[1]);
    pthread_key_create(&key, destroy);
    mkfifo("fifo", 0600), mkfifo("other", 0600);
    file = open("file", O_RDWR | O_CREAT, 0600);
    fifo = open("fifo", O_RDWR);
    other = open("other", O_RDWR);
    pthread_t thread = start(is_sudden_no_more);
    end("asynchronous no more", thread);
    left();
    crowd();
    say("state %d", state());
    return 0;
}

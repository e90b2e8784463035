/* What the C cases about cancelled threads share: threads with something to clean up, that are cancelled when they wait. */
#include "plain.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

static int file, fifo, other;
static volatile int began, go, passed, cleaned, destroyed, handled;
static pthread_key_t key;

static void clean(void *by)
{
    cleaned += (intptr_t)by;
}

static void destroy(void *value)
{
    destroyed++;
}

static void handle(int signal)
{
    handled++;
}

static int state(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_setcancelstate(before, NULL);
    return before;
}

/* Until the thread sleeps in its call. */
static void settle(void)
{
    while (!began)
        sched_yield();
    usleep(60000);
}

static void until_it_goes(void)
{
    while (!go)
        sched_yield();
    usleep(60000);
}

static void *run(void *body)
{
    void *result;
    pthread_setspecific(key, body);
    pthread_cleanup_push(clean, (void *)1);
    pthread_cleanup_push(clean, (void *)10);
    began = 1;
    result = (void *)((intptr_t(*)(void))body)();
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return result;
}

static pthread_t start(intptr_t (*body)(void))
{
    pthread_t thread;
    began = cleaned = destroyed = 0;
    pthread_create(&thread, NULL, run, body);
    settle();
    return thread;
}

static void end(const char *name, pthread_t thread)
{
    void *result;
    pthread_join(thread, &result);
    if (result == PTHREAD_CANCELED)
        say("%s: cancelled, cleaned %d, destroyed %d", name, cleaned, destroyed);
    else
        say("%s: answered %ld, cleaned %d, destroyed %d", name, (long)(intptr_t)result, cleaned, destroyed);
}

static void cancel(const char *name, intptr_t (*body)(void))
{
    pthread_t thread = start(body);
    pthread_cancel(thread);
    end(name, thread);
}

/* What never waits. */
static intptr_t writes(void)
{
    while (pwrite(file, "x", 1, 0) == 1) {}
    return -1;
}

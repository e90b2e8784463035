/* Files in a signal handler while the program it interrupts uses files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void say(const char *what, long result)
{
    printf("  %s %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
    fflush(stdout);
}

static int journal;
static volatile int ticks;
/* Half a millisecond after a handler has ended: on a slow machine too the program goes on between two. */
static const struct itimerval soon = {.it_value = {0, 500}}, never;

static void tick(int number)
{
    (void)number;
    int error = errno;
    char text[32];
    ticks++;
    write(journal, "tick\n", 5);
    int own = open("tick", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (own < 0 || write(own, text, snprintf(text, sizeof text, "%d", ticks)) < 1 || close(own))
        _exit(9);
    setitimer(ITIMER_REAL, &soon, NULL);
    errno = error;
}

static void in_a_handler(int flags)
{
    ticks = 0;
    journal = open("journal", O_RDWR | O_CREAT | O_APPEND | O_TRUNC, 0644);
    struct sigaction action = {.sa_handler = tick, .sa_flags = flags};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    int failures = 0;
    for (int round = 0; ticks < 200 || round < 300; round++) {
        char name[32], text[5000];
        snprintf(name, sizeof name, "round-%d", round % 50);
        memset(text, 'a' + round % 26, sizeof text);
        int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
        struct stat found;
        failures += fd < 0 || write(fd, text, sizeof text) != sizeof text || lseek(fd, 0, SEEK_SET);
        failures += read(fd, text, sizeof text) != sizeof text || text[4999] != 'a' + round % 26;
        failures += stat(name, &found) || found.st_size != sizeof text || close(fd);
        failures += rename(name, "renamed") || rename("renamed", name);
    }
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &never, NULL);
    say("failures", failures);
    struct stat found;
    say("journal", fstat(journal, &found) || found.st_size != 5 * ticks);
    unlink("journal");
    unlink("tick");
    /* How many rounds it takes is the machine's. */
    for (int round = 0; round < 50; round++) {
        char name[32];
        snprintf(name, sizeof name, "round-%d", round);
        say("unlink", unlink(name));
    }
}

int main(void)
{
    puts("with SA_RESTART");
    in_a_handler(SA_RESTART);
    puts("without SA_RESTART");
    in_a_handler(0);
    return 0;
}

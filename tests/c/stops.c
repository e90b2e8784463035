/* A process that only spawns programs is stopped, as its terminal would do it, and continued. In the working directory. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
enum { TIMES = 40 };
static pid_t group;

static void spawns(void) {
    char *arguments[] = {"true", NULL};
    setpgid(0, 0);
    for (;;) {
        pid_t child;
        if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0)
            waitpid(child, NULL, 0);
    }
}

/* Nobody who waits for it hears of it, then. */
static void give_up(int signal) {
    kill(-group, SIGKILL);
    write(1, "not stopped\n", 12);
    _exit(1);
}

int main(void) {
    int stopped = 0, continued = 0, status;
    open("inherited", O_RDWR | O_CREAT, 0600);
    group = fork();
    if (group == 0)
        spawns();
    setpgid(group, group);
    signal(SIGALRM, give_up);
    for (int turn = 0; turn < TIMES; turn++) {
        alarm(100);
        usleep(1000 + turn % 10 * 150);
        kill(-group, SIGTSTP);
        stopped += waitpid(group, &status, WUNTRACED) == group && WIFSTOPPED(status);
        kill(-group, SIGCONT);
        continued += waitpid(group, &status, WCONTINUED) == group && WIFCONTINUED(status);
    }
    kill(-group, SIGKILL);
    waitpid(group, &status, 0);
    printf("stopped %d, continued %d of %d\n", stopped, continued, TIMES);
    return 0;
}

/* Processes that share their descriptors and no memory: as the kernel has them until there is a host file, then none. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int opens(void *argument) {
    dup2(open("/dev/null", O_RDONLY), 77);
    return 0;
}

static char stack[65536];

static int by_function(void) {
    return clone(opens, stack + sizeof stack, SIGCHLD | CLONE_FILES, NULL);
}

static int by_number(void) {
    int child = syscall(SYS_clone, SIGCHLD | CLONE_FILES, 0, 0, 0, 0);
    if (child == 0)
        _exit(opens(NULL));
    return child;
}

static int by_words(void) {
    struct {
        unsigned long flags, others[3], exit_signal, rest[3];
    } words = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
    int child = syscall(SYS_clone3, &words, sizeof words);
    if (child == 0)
        _exit(opens(NULL));
    return child;
}

static void tried(const char *way, int child) {
    if (child == -1) {
        printf("%s: %s\n", way, errno == EINVAL ? "refused" : "failed");
        return;
    }
    int ended = waitpid(child, NULL, 0) == child;
    printf("%s: child %d, seen %d\n", way, ended, close(77) == 0);
}

int main(void) {
    char byte;
    int file = -1;
    for (int host = 0; host < 2; host++) {
        tried("by function", by_function());
        tried("by number", by_number());
        tried("by words", by_words());
        if (!host)
            file = open(getenv("HOST_FILE"), O_RDONLY);
    }
    printf("read: %zd\n", read(file, &byte, 1));
    return 0;
}

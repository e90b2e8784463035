/* Children of one thread have none of what the others are just opening, closing or replacing: once it is closed everywhere else, the
 * reader of a FIFO finds its end. In the working directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 100 };
static volatile int over;

static void *closes(void *name) {
    while (!over)
        close(open(name, O_WRONLY));
    return NULL;
}

static void *replaces(void *name) {
    int fixed = open(name, O_WRONLY);
    while (!over) {
        int file = open(name, O_WRONLY);
        dup2(file, fixed);
        close(file);
    }
    close(fixed);
    return NULL;
}

/* Whether the FIFO has no end, though its writers are done and only children are left, which have closed all that they know of. */
static int keep(const char *name, void *(*does)(void *)) {
    char byte;
    int line[2], back[2];
    pthread_t other;
    mkfifo(name, 0600);
    int reader = open(name, O_RDONLY | O_NONBLOCK);
    pipe(line), pipe(back);
    over = 0;
    pthread_create(&other, NULL, does, (void *)name);
    for (int child = 0; child < CHILDREN; child++)
        if (fork() == 0) {
            dup2(line[0], 0), dup2(back[1], 1);
            close_range(3, ~0U, 0);
            write(1, "", 1);
            read(0, &byte, 1);
            _exit(0);
        }
    for (int child = 0; child < CHILDREN; child++)
        read(back[0], &byte, 1);
    over = 1;
    pthread_join(other, NULL);
    int kept = read(reader, &byte, 1) == -1 && errno == EAGAIN;
    close(line[1]), close(line[0]), close(back[0]), close(back[1]), close(reader);
    while (wait(NULL) != -1)
        ;
    return kept;
}

int main(void) {
    printf("closed ones are kept: %d\n", keep("closed", closes));
    printf("replaced ones are kept: %d\n", keep("replaced", replaces));
    return 0;
}

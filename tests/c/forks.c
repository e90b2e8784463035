/* Children of one thread have their files, whatever the others open and close meanwhile. In the working directory. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int over;

static void *opens_and_closes(void *name) {
    while (!over) {
        int files[4];
        for (int at = 0; at < 4; at++)
            files[at] = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        for (int at = 0; at < 4; at++)
            close(files[at]);
    }
    return NULL;
}

int main(void) {
    pthread_t others[2];
    pthread_create(&others[0], NULL, opens_and_closes, "one");
    pthread_create(&others[1], NULL, opens_and_closes, "two");
    int lost = 0, stained = 0;
    for (int turn = 0; turn < 300; turn++) {
        char back[8] = "";
        int file = open("written", O_RDWR | O_CREAT | O_TRUNC, 0600);
        pid_t child = fork();
        if (child == 0) {
            /* As shells and Python's subprocess begin a program. */
            dup2(file, 1);
            for (int other = 3; other < 32; other++)
                close(other);
            _exit(write(1, "child\n", 6) != 6);
        }
        int status = 0;
        waitpid(child, &status, 0);
        pread(file, back, 7, 0);
        lost += status != 0 || strcmp(back, "child\n");
        close(file);
    }
    over = 1;
    pthread_join(others[0], NULL);
    pthread_join(others[1], NULL);
    struct {
        const char *name;
    } both[] = {{"one"}, {"two"}};
    for (int at = 0; at < 2; at++) {
        int file = open(both[at].name, O_RDONLY);
        stained += lseek(file, 0, SEEK_END) != 0;
        close(file);
    }
    printf("lost %d, stained %d\n", lost, stained);
    return 0;
}

/* Streams and directory streams in several threads at once, some forking meanwhile. */
#include "transcript.h"
#include <pthread.h>

enum { THREADS = 6, ROUNDS = 150 };
static FILE *shared;

static void *work(void *argument)
{
    long id = (long)argument, wrong = 0;
    char path[4096], line[100];
    snprintf(path, sizeof path, "%s/thread-%ld", directory, id);
    for (int round = 0; round < ROUNDS; round++) {
        FILE *f = fopen(path, round ? "r+" : "w+");
        fseek(f, 0, SEEK_END);
        fprintf(f, "%ld %d\n", id, round);
        rewind(f);
        int lines = 0;
        while (fgets(line, sizeof line, f))
            lines++;
        wrong += lines != round + 1;
        fclose(f);
        fprintf(shared, "line of %ld in round %d\n", id, round);
        DIR *d = opendir(directory);
        int entries = 0;
        while (readdir(d))
            entries++;
        wrong += entries < 3;
        closedir(d);
        FILE *local = fopen("/etc/passwd", "r");
        wrong += !local || fgetc(local) == EOF;
        fclose(local);
        if (round % 50 == 7) {
            pid_t child = fork();
            if (child == 0) {
                int fd = open(path, O_RDONLY);
                _exit(read(fd, line, 1) == 1 ? 0 : 1);
            }
            int status;
            waitpid(child, &status, 0);
            wrong += status != 0;
        }
    }
    return (void *)wrong;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    shared = fopen(in("shared"), "w");
    pthread_t threads[THREADS];
    for (long id = 0; id < THREADS; id++)
        pthread_create(&threads[id], NULL, work, (void *)id);
    long wrong = 0;
    for (int id = 0; id < THREADS; id++) {
        void *result;
        pthread_join(threads[id], &result);
        wrong += (long)result;
    }
    say("wrong %ld\n", wrong);
    say("close %d\n", fclose(shared));
    shared = fopen(in("shared"), "r");
    int lines = 0, whole = 0, id, round;
    char line[100];
    while (fgets(line, sizeof line, shared)) {
        lines++;
        whole += sscanf(line, "line of %d in round %d", &id, &round) == 2;
    }
    say("lines %d whole %d\n", lines, whole);
    return 0;
}

/* Work on files that goes through the allocator much: directories, streams, lines, sorting, paths, threads, children. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *fill(void *argument)
{
    long number = (long)argument;
    for (int round = 0; round < 50; round++) {
        char *name = NULL, *text = malloc(round * 37 + 1);
        asprintf(&name, "file-%ld-%d", number, round);
        memset(text, 'a' + round % 26, round * 37);
        FILE *stream = fopen(name, "w");
        fwrite(text, 1, round * 37, stream);
        fprintf(stream, "\nend %d\n", round);
        fclose(stream);
        struct stat found;
        if (stat(name, &found) || found.st_size != round * 37 + (round < 10 ? 7 : 8))
            printf("%s has %ld bytes\n", name, (long)found.st_size);
        free(name);
        free(text);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    for (long number = 0; number < 4; number++)
        pthread_create(&threads[number], NULL, fill, (void *)number);
    for (int number = 0; number < 4; number++)
        pthread_join(threads[number], NULL);

    struct dirent **entries;
    int count = scandir(".", &entries, NULL, alphasort);
    printf("%d entries, from %s to %s\n", count, entries[2]->d_name, entries[count - 1]->d_name);
    while (count--)
        free(entries[count]);
    free(entries);

    glob_t found;
    printf("glob %d\n", glob("file-3-*", 0, NULL, &found));
    printf("%zu names, the first %s\n", found.gl_pathc, found.gl_pathv[0]);
    globfree(&found);

    FILE *stream = fopen("file-2-30", "r");
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stream) > 0)
        printf("%zu %s", strlen(line), line + (strlen(line) > 20 ? strlen(line) - 3 : 0));
    fclose(stream);
    free(line);

    char *full = realpath("file-0-0", NULL);
    printf("%s\n", full ? strrchr(full, '/') : strerror(errno));
    free(full);

    int fd = open("mapped", O_RDWR | O_CREAT, 0644);
    ftruncate(fd, 10000);
    char *map = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) { printf("mmap %s\n", strerror(errno)); return 1; }
    memcpy(map + 5000, "by the map", 10);
    msync(map, 10000, MS_SYNC);
    char read_back[11] = "";
    pread(fd, read_back, 10, 5000);
    printf("%s\n", read_back);
    munmap(map, 10000);
    close(fd);

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char *name = strdup("by-the-child");
        FILE *own = fopen(name, "w+");
        fputs("child\n", own);
        fclose(own);
        free(name);
        exit(7);
    }
    int status;
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    FILE *pipe = popen("cat by-the-child; ls | wc -l", "r");
    char text[100];
    while (fgets(text, sizeof text, pipe))
        fputs(text, stdout);
    printf("popen %d\n", pclose(pipe));
    return 0;
}

/* What the handlers of pthread_atfork(3) do with files before a fork is done for the child, and the child's own find its files. In the
   working directory. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int file = -1, journal = -1, another = -1, parents;

static void say(const char *what) {
    if (write(journal, what, strlen(what)) == -1)
        perror("journal");
}

/* Under the number of the one that is closed, as logs are changed. */
static void change(void) {
    close(file);
    another = open("two", O_RDONLY);
    say("before\n");
}

static void parent(void) {
    struct stat status;
    parents += fstat(file, &status) == 0;
}

static void child(void) {
    char text[8] = "";
    ssize_t got = pread(file, text, 7, 0);
    printf("child's handler: %zd %s", got, text);
    struct stat status;
    printf("directory %d, new file %d\n", stat("one", &status), open("three", O_RDWR | O_CREAT, 0600) != -1);
    say("child\n");
}

static void put(const char *name, const char *text) {
    int made = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (write(made, text, strlen(text)) == -1)
        perror(name);
    close(made);
}

int main(void) {
    char text[64] = "";
    setvbuf(stdout, NULL, _IONBF, 0);
    put("one", "first\n");
    put("two", "second\n");
    journal = open("journal", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);
    file = open("one", O_RDONLY);
    pthread_atfork(change, parent, child);
    pid_t made = fork();
    if (made == 0) {
        char own[8] = "";
        printf("child: %zd ", pread(file, own, 7, 0));
        printf("%s", own);
        printf("same number %d\n", file == another);
        _exit(0);
    }
    int status;
    waitpid(made, &status, 0);
    ssize_t got = pread(journal, text, sizeof text - 1, 0);
    printf("status %d, parents %d, journal of %zd:\n%s", status, parents, got, text);
    /* One past the handlers. */
    made = _Fork();
    if (made == 0) {
        say("_Fork\n");
        _exit(0);
    }
    waitpid(made, &status, 0);
    memset(text, 0, sizeof text);
    got = pread(journal, text, sizeof text - 1, 0);
    printf("status %d, journal of %zd\n", status, got);
    return 0;
}

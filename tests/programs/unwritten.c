/* Names files by strings that end in the midst of memory that was never written. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LONGEST = 18, ALIGNMENTS = 16 };

static void use(const char *name) {
    struct stat status;
    int file = open(name, O_CREAT | O_EXCL | O_RDWR, 0644);
    if (file < 0 || write(file, name, strlen(name)) < 0 || close(file) || stat(name, &status) || unlink(name))
        perror(name);
    if (access(name, F_OK) == 0)
        printf("%s is there still\n", name);
}

int main(void) {
    char directory[4096];
    if (!getcwd(directory, sizeof directory))
        return 1;
    for (size_t length = 1; length < LONGEST; length++)
        for (size_t skipped = 0; skipped < ALIGNMENTS; skipped += 5) {
            char *memory = malloc(sizeof directory + LONGEST + ALIGNMENTS);
            char *name = memory + skipped;
            memset(name, 'a' + length % 8, length);
            name[length] = '\0';
            use(name);
            sprintf(name, "%s/%.*s", directory, (int)length, "hostnames-and-others-in-one-long-row-of-letters");
            use(name);
            free(memory);
        }
    puts("done");
    return 0;
}

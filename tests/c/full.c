/* A new program image has the files that it is handed where the process may have hardly any other, and none by raising a limit. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FILES = 30, SPARE = 2 };

int main(int count, char **arguments) {
    char text[4] = "", self[4096] = "";
    if (count == 1) {
        int last = -1;
        for (int file = 0; file < FILES; file++) {
            last = open("handed", O_RDWR | O_CREAT, 0600);
            pwrite(last, "text", 4, 0);
        }
        int most = last + 1 + SPARE;
        readlink("/proc/self/exe", self, sizeof self);
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){most, most});
        execl(self, self, "image", NULL);
        perror("execl");
        return 1;
    }
    int found = 0;
    for (int file = 3; file < 3 + FILES; file++)
        found += read(file, text, 4) == 4 && !memcmp(text, "text", 4);
    printf("%d of %d\n", found, FILES);
    return 0;
}

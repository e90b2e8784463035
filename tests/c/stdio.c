/* Streams: every way into the descriptor of a FILE. */
#include "transcript.h"
#include <wchar.h>
#include <locale.h>

static void end(FILE *f)
{
    say(" close %d\n", fclose(f));
}

static void show(const char *name)
{
    int fd = open(in(name), O_RDONLY);
    char text[200];
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        say("  %s: %s\n", name, error(1));
        return;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    say("  %s: %ld bytes: %s\n", name, (long)st.st_size, text);
    close(fd);
}

static void opening(void)
{
    static const char *modes[] = {"r", "w", "a", "r+", "w+", "a+", "wx", "we", "rm", "rb+", "q", "", "wxxxxxx+", "w+xe"};
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
        int fd = open(in("old"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
        say("prepare %zd\n", write(fd, "0123456789\nabcdef\n", 18));
        close(fd);
        unlink(in("new"));
        for (int k = 0; k < 2; k++) {
            FILE *f = fopen(in(k ? "new" : "old"), modes[i]);
            say("fopen %s %s: %s", k ? "new" : "old", modes[i], error(!f));
            if (!f) {
                say("\n");
                continue;
            }
            say(" fd %d cloexec %d flags %x tell %ld", fileno(f), fcntl(fileno(f), F_GETFD),
                fcntl(fileno(f), F_GETFL) & (O_ACCMODE | O_APPEND), ftell(f));
            say(" put %d", fputs("XY", f));
            say(" error %d tell %ld", ferror(f), ftell(f));
            clearerr(f);
            say(" seek %d", fseek(f, 3, SEEK_SET));
            say(" get %d", fgetc(f));
            say(" error %d eof %d tell %ld", ferror(f), feof(f), ftell(f));
            end(f);
            show(k ? "new" : "old");
        }
    }
    FILE *f = fopen(in("missing/file"), "w");
    say("missing %s\n", error(!f));
    f = fopen(in("."), "w");
    say("directory w %s\n", error(!f));
    f = fopen(in("."), "r");
    say("directory r %s", error(!f));
    errno = 0;
    say(" get %d %s\n", fgetc(f), error(errno));
    fclose(f);
}

static void positions(void)
{
    FILE *f = fopen(in("long"), "w+");
    for (int i = 0; i < 30000; i++)
        fprintf(f, "line %d\n", i);
    say("long %ld\n", ftell(f));
    rewind(f);
    char *line = NULL;
    size_t room = 0;
    for (int i = 0; i < 3; i++)
        say("getline %zd %s", getline(&line, &room, f), line);
    say("tell %ld position %ld\n", ftell(f), (long)lseek(fileno(f), 0, SEEK_CUR));
    fflush(f);
    say("flushed position %ld\n", (long)lseek(fileno(f), 0, SEEK_CUR));
    say("seek end %d", fseeko(f, -20, SEEK_END));
    say(" tell %ld ungetc %d", ftell(f), ungetc('u', f));
    say(" get %d\n", fgetc(f));
    fpos_t mark;
    fgetpos(f, &mark);
    say("get %s", fgets(line, 100, f));
    fseek(f, 100000, SEEK_SET);
    fputs("[inserted]", f);
    fseek(f, 99995, SEEK_SET);
    say("read back %s", fgets(line, 100, f));
    fsetpos(f, &mark);
    say("again %s", fgets(line, 100, f));
    say("bad seek %d", fseek(f, -1, SEEK_SET));
    say(" %s\n", error(1));
    end(f);
    free(line);

    size_t size = 1 << 20;
    char *data = malloc(size + 7), *copy = calloc(1, size + 7);
    for (size_t i = 0; i < size + 7; i++)
        data[i] = i * 31 >> 3;
    f = fopen(in("big"), "w");
    size_t put = fwrite(data, 1, size + 7, f);
    say("fwrite %zu tell %ld", put, ftell(f));
    end(f);
    f = fopen(in("big"), "r");
    size_t got = fread(copy, 1, 3, f);
    got += fread(copy + 3, 1, size + 100, f);
    say("fread %zu same %d eof %d\n", got, !memcmp(data, copy, size + 7), feof(f));
    say("unbuffered %d", setvbuf(f, NULL, _IONBF, 0));
    say(" seek %d", fseek(f, size, SEEK_SET));
    say(" get %d\n", fgetc(f));
    fclose(f);
    free(data);
    free(copy);
}

static void buffering(void)
{
    static const int kinds[] = {_IOFBF, _IOLBF, _IONBF};
    for (int i = 0; i < 3; i++) {
        FILE *f = fopen(in("buffered"), "w");
        setvbuf(f, NULL, kinds[i], i == 0 ? 16 : 0);
        fputs("one\ntwo", f);
        struct stat st;
        fstat(fileno(f), &st);
        say("buffering %d: %ld", i, (long)st.st_size);
        fputs(" three four five six seven", f);
        fstat(fileno(f), &st);
        say(" %ld", (long)st.st_size);
        end(f);
    }
    FILE *f = fopen(in("buffered"), "w");
    fputs("whole\n", f);
    struct stat st;
    fstat(fileno(f), &st);
    say("a file is fully buffered: %ld\n", (long)st.st_size);
    say("fflush %d", fflush(NULL));
    fstat(fileno(f), &st);
    say(" %ld\n", (long)st.st_size);
    dprintf(fileno(f), "dprintf %d\n", 7);
    fclose(f);
    show("buffered");
}

static void descriptors(void)
{
    static const char *modes[] = {"r", "w", "a", "r+", "a+", "bogus"};
    static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 6; i++) {
            int fd = open(in("old"), flags[k] | O_CREAT | O_CLOEXEC, 0644);
            FILE *f = fdopen(fd, modes[i]);
            say("fdopen %d %s: %s", flags[k], modes[i], error(!f));
            if (f) {
                say(" append %d tell %ld", !!(fcntl(fd, F_GETFL) & O_APPEND), ftell(f));
                say(" same fd %d", fileno(f) == fd);
                end(f);
                say("closed %s\n", error(fcntl(fd, F_GETFD) < 0));
            } else {
                say(" still open %d\n", close(fd));
            }
        }
    FILE *f = fdopen(777, "r");
    say("fdopen of nothing %s\n", error(!f));
}

static void reopening(void)
{
    FILE *f = fopen(in("a"), "w");
    int fd = fileno(f);
    fputs("first", f);
    f = freopen(in("b"), "w+", f);
    say("freopen %s same fd %d\n", error(!f), fileno(f) == fd);
    fputs("second", f);
    f = freopen(in("b"), "a", f);
    say("same file appending %s tell %ld\n", error(!f), ftell(f));
    fputs(" third", f);
    f = freopen("/dev/null", "w", f);
    say("to null %s same fd %d\n", error(!f), fileno(f) == fd);
    fputs("lost", f);
    fflush(f);
    f = freopen(in("c"), "we", f);
    say("and back %s same fd %d cloexec %d\n", error(!f), fileno(f) == fd, fcntl(fd, F_GETFD));
    fputs("fourth", f);
    show("a");
    show("b");
    f = freopen(NULL, "a", f);
    say("null path %s\n", error(!f));
    fputs("+", f);
    fclose(f);
    show("c");
    say("closed %s\n", error(fcntl(fd, F_GETFD) < 0));
    f = fopen(in("b"), "r+");
    fd = fileno(f);
    fgetc(f);
    f = freopen(NULL, "r", f);
    say("read again %c\n", fgetc(f));
    FILE *gone = freopen(in("missing/x"), "w", f);
    say("freopen fails: %s", error(!gone));
    say(" fd %s\n", error(fcntl(fd, F_GETFD) < 0));

    fflush(stdout);
    say("stdout %s", error(!freopen(in("out"), "w", stdout)));
    say(" fd %d\n", fileno(stdout));
    printf("by printf\n");
    puts("by puts");
    say("stdin %s", error(!freopen(in("b"), "r", stdin)));
    say(" fd %d", fileno(stdin));
    say(" get %d\n", getchar());
    say("stderr %s\n", error(!freopen(in("err"), "w", stderr)));
    errno = ENOSPC;
    perror("perror");
    fprintf(stderr, "unbuffered %d\n", 1);
    show("err");
    fflush(stdout);
    show("out");
    say("close stdin %d", fclose(stdin));
    f = fopen(in("a"), "r");
    say(" next fd %d\n", fileno(f));
    fclose(f);
}

static void wide(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    FILE *f = fopen(in("wide"), "w,ccs=UTF-8");
    say("ccs %s", error(!f));
    say(" fd %d put %d", fileno(f), fputws(L"gr\u00fc\u00df dich\n", f));
    end(f);
    f = fopen(in("wide"), "r");
    wchar_t line[100];
    say("wide %d", fgetws(line, 100, f) != NULL);
    say(" %d units tell %ld\n", (int)wcslen(line), ftell(f));
    say("seek %d", fseek(f, 2, SEEK_SET));
    say(" get %d\n", (int)fgetwc(f));
    fclose(f);
    f = fopen(in("wide"), "r,ccs=NOSUCH");
    say("bad ccs %s\n", error(!f));
}

static void processes(void)
{
    FILE *f = fopen(in("forked"), "w");
    fputs("parent ", f);
    fflush(f);
    pid_t child = fork();
    if (child == 0) {
        fputs("child ", f);
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    fputs("parent again", f);
    say("fork %d", status);
    end(f);
    show("forked");
    FILE *p = popen("echo piped", "r");
    char line[20];
    char *got = fgets(line, 20, p);
    say("popen %s", got);
    pclose(p);
    char *text;
    size_t length;
    f = open_memstream(&text, &length);
    fputs("memory", f);
    fclose(f);
    say("memstream %s\n", text);
    free(text);
    child = fork();
    if (child == 0) {
        f = fopen(in("left"), "w");
        fputs("flushed at exit", f);
        exit(3);
    }
    waitpid(child, &status, 0);
    say("exit %d\n", WEXITSTATUS(status));
    show("left");
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    opening();
    positions();
    buffering();
    descriptors();
    wide();
    processes();
    reopening();
    return 0;
}

/* Directory streams, whole-directory functions and tree walks. */
#include "transcript.h"
#define __USE_MISC 1
#include <ftw.h>
#include <glob.h>

static void touch(const char *name)
{
    close(open(in(name), O_WRONLY | O_CREAT, 0644));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is left in a stream, sorted, with the types. */
static void rest(DIR *d)
{
    static char *names[5000];
    int n = 0;
    struct dirent *e;
    errno = 0;
    while ((e = readdir(d)))
        if (asprintf(&names[n++], "%s/%d", e->d_name, e->d_type) < 0)
            abort();
    say("%d entries, %s:", n, error(errno));
    qsort(names, n, sizeof *names, by_name);
    for (int i = 0; i < n; i++) {
        if (n < 20)
            say(" %s", names[i]);
        free(names[i]);
    }
    say("\n");
}

static void streams(void)
{
    DIR *d = opendir(in("few"));
    say("opendir %s fd %d cloexec %d\n", error(!d), dirfd(d), fcntl(dirfd(d), F_GETFD));
    rest(d);
    say("at the end %d\n", readdir(d) != NULL);
    touch("few/later");
    rewinddir(d);
    rest(d);
    rewinddir(d);
    long marks[10];
    char names[10][256];
    int n = 0;
    for (;; n++) {
        marks[n] = telldir(d);
        struct dirent64 *e = readdir64(d);
        if (!e)
            break;
        strcpy(names[n], e->d_name);
    }
    int right = 0;
    for (int i = n - 1; i >= 0; i--) {
        seekdir(d, marks[i]);
        struct dirent *e = readdir(d);
        right += e && !strcmp(e->d_name, names[i]);
    }
    seekdir(d, marks[n]);
    say("seekdir right %d of %d, end %d\n", right, n, readdir(d) == NULL);
    rewinddir(d);
    readdir(d);
    readdir(d);
    struct stat st;
    struct dirent *e = readdir(d);
    say("inode right %d\n", fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == e->d_ino);
    say("d_off is telldir %d\n", telldir(d) == e->d_off);
    fflush(NULL);
    rewinddir(d);
    pid_t child = fork();
    if (child == 0) {
        rest(d);
        say("child closes %d\n", closedir(d));
        _exit(0);
    }
    waitpid(child, NULL, 0);
    say("closedir %d\n", closedir(d));

    d = opendir(in("many"));
    rest(d);
    closedir(d);
    static const char *bad[] = {"missing", "few/file", "few/dangling", ""};
    for (int i = 0; i < 4; i++) {
        d = opendir(*bad[i] ? in(bad[i]) : "");
        say("opendir %s: %s\n", bad[i], error(!d));
    }
    d = opendir(in("few/link"));
    say("through a link %s\n", error(!d));
    closedir(d);
    DIR *volatile nothing = NULL;
    errno = 0;
    say("closedir of null %d", closedir(nothing));
    say(" %s\n", error(1));

    int fd = open(in("few"), O_RDONLY | O_DIRECTORY);
    d = fdopendir(fd);
    say("fdopendir same %d\n", dirfd(d) == fd);
    rest(d);
    closedir(d);
    say("closed %s\n", error(fcntl(fd, F_GETFD) < 0));
    fd = open(in("few/file"), O_RDONLY);
    d = fdopendir(fd);
    say("fdopendir of a file %s\n", error(!d));
    close(fd);
    fd = open(in("few"), O_PATH);
    d = fdopendir(fd);
    say("fdopendir of a path, or then readdir: %s\n", error(!d || !readdir(d)));
    close(fd);

    mkdir(in("gone"), 0755);
    d = opendir(in("gone"));
    rmdir(in("gone"));
    rest(d);
    closedir(d);

    DIR *one = opendir(in("few")), *two = opendir("/"), *three = opendir(in("many"));
    say("mixed %d %d %d\n", readdir(one) != NULL, readdir(two) != NULL, readdir(three) != NULL);
    closedir(two);
    closedir(one);
    say("still %d\n", readdir(three) != NULL);
    closedir(three);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    d = opendir(in("few"));
    struct dirent entry, *result;
    int got, count = 0, links = 0;
    while ((got = readdir_r(d, &entry, &result)) == 0 && result) {
        count++;
        links += entry.d_type == DT_LNK;
    }
    say("readdir_r %d %d links %d\n", got, count, links);
    closedir(d);
#pragma GCC diagnostic pop
}

static int no_dots(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void scans(void)
{
    struct dirent **list;
    int n = scandir(in("few"), &list, no_dots, alphasort);
    say("scandir %d:", n);
    for (int i = 0; i < n; i++) {
        say(" %s/%d", list[i]->d_name, list[i]->d_type);
        free(list[i]);
    }
    free(list);
    n = scandir(in("many"), &list, NULL, versionsort);
    say("\nscandir %d last %s\n", n, list[n - 1]->d_name);
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
    n = scandir(in("missing"), &list, NULL, NULL);
    say("scandir missing %d %s\n", n, error(1));
    int fd = open(in("."), O_RDONLY);
    struct dirent64 **list64;
    n = scandirat64(fd, "few", &list64, NULL, alphasort64);
    say("scandirat %d first %s\n", n, list64[0]->d_name);
    for (int i = 0; i < n; i++)
        free(list64[i]);
    free(list64);
    close(fd);

    static const char *patterns[] = {"few/*", "*/f*", "few/[a-f]*", "none*", "few/.*", "f?w/sub/*/*", "few", "{few,many}/*1", "few/dang*", "few/file*/"};
    for (unsigned i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        glob_t g;
        int result = glob(in(patterns[i]), GLOB_MARK | GLOB_BRACE, NULL, &g);
        say("glob %s: %d", patterns[i], result);
        for (size_t k = 0; result == 0 && k < g.gl_pathc; k++)
            say(" %s", g.gl_pathv[k] + strlen(directory));
        say(" flags %x\n", g.gl_flags & ~GLOB_MARK);
        globfree(&g);
    }
    glob_t g;
    g.gl_offs = 1;
    int both = glob(in("few/f*"), GLOB_DOOFFS, NULL, &g);
    both += glob("/etc/host*name", GLOB_DOOFFS | GLOB_APPEND, NULL, &g);
    say("append %d %zu %s\n", both, g.gl_pathc, g.gl_pathv[g.gl_pathc]);
    globfree(&g);
}

static char *lines[6000];
static int count;
static int answer_at, answer;

static void note(const char *path, const struct stat *st, int kind, const struct FTW *place)
{
    const char *tail = path + strlen(directory);
    int length = place ? asprintf(&lines[count], "%s kind %d base %s level %d size %ld", tail, kind, path + place->base, place->level,
                                  S_ISREG(st->st_mode) ? (long)st->st_size : -1)
                       : asprintf(&lines[count], "%s kind %d", tail, kind);
    if (length < 0)
        abort();
    count++;
}

static int full(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    note(path, st, kind, place);
    struct stat here;
    if (kind != FTW_NS && lstat(path, &here) != 0 && lstat(path + place->base, &here) != 0)
        say("unreachable %s\n", path);
    return count == answer_at ? answer : strstr(path, "skipped") && answer_at < 0 ? -answer_at : 0;
}

static int plain(const char *path, const struct stat *st, int kind)
{
    note(path, st, kind, NULL);
    return 0;
}

static void listing(const char *title, int result)
{
    say("%s: %d %s, %d files\n", title, result, error(result < 0), count);
    qsort(lines, count, sizeof *lines, by_name);
    for (int i = 0; i < count; i++) {
        if (count < 60)
            say("  %s\n", lines[i]);
        free(lines[i]);
    }
    count = 0;
}

static void walks(void)
{
    static const int flags[] = {0, FTW_PHYS, FTW_DEPTH, FTW_PHYS | FTW_DEPTH, FTW_MOUNT, FTW_CHDIR, FTW_CHDIR | FTW_PHYS | FTW_DEPTH};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
        for (int descriptors = 1; descriptors < 20; descriptors += 18) {
            char title[40];
            snprintf(title, sizeof title, "nftw %d %d", flags[i], descriptors);
            listing(title, nftw(in("few"), full, descriptors, flags[i]));
        }
    listing("trailing slashes", nftw(in("few/sub//"), full, 5, FTW_PHYS));
    listing("a file", nftw(in("few/file"), full, 5, FTW_PHYS));
    listing("a dangling link", nftw(in("few/dangling"), full, 5, 0));
    listing("missing", nftw(in("missing"), full, 5, 0));
    answer_at = 1;
    answer = 42;
    listing("stopped", nftw(in("few"), full, 5, 0));
    answer = FTW_SKIP_SUBTREE;
    listing("root skipped", nftw(in("few"), full, 5, FTW_ACTIONRETVAL));
    answer_at = -FTW_SKIP_SUBTREE;
    listing("subtree skipped", nftw(in("few"), full, 5, FTW_ACTIONRETVAL | FTW_PHYS));
    answer_at = 0;
    listing("bad flags", nftw(in("few"), full, 5, 4096));
    listing("ftw", ftw(in("few"), plain, 5));
    listing("many", ftw(in("many"), plain, 5));
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    mkdir(in("few"), 0755);
    mkdir(in("many"), 0755);
    mkdir(in("few/sub"), 0755);
    mkdir(in("few/sub/deep"), 0755);
    mkdir(in("few/skipped"), 0755);
    touch("few/file");
    touch("few/sub/deep/bottom");
    touch("few/skipped/inside");
    symlink("nowhere", in("few/dangling"));
    symlink("sub", in("few/link"));
    symlink("..", in("few/sub/circle"));
    for (int i = 0; i < 3000; i++) {
        char name[40];
        snprintf(name, sizeof name, "many/entry-%d", i);
        touch(name);
    }
    streams();
    scans();
    walks();
    return 0;
}

/* Paths: relative and absolute, `..` out and in, links, long and odd names, canonical paths, and both stat generations. */
#define _GNU_SOURCE
#include "plain.h"
#include <fcntl.h>
#include <limits.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

int __xstat(int, const char *, struct stat *);
int __lxstat(int, const char *, struct stat *);
int __fxstat(int, int, struct stat *);
int __fxstatat(int, int, const char *, struct stat *, int);

static void facts(const char *what, int result, struct stat *s)
{
    if (result) { say("%s %d %s", what, result, why()); return; }
    say("%s mode %o links %ld size %ld uid %d times %ld %ld.%09ld rdev %lx", what, s->st_mode, S_ISDIR(s->st_mode) ? 0 : (long)s->st_nlink, S_ISDIR(s->st_mode) ? 0 : (long)s->st_size,
        s->st_uid, s->st_mtime < 10000 ? (long)s->st_atime : 0, s->st_mtime < 10000 ? (long)s->st_mtime : 0, s->st_mtime < 10000 ? s->st_mtim.tv_nsec : 0, (long)s->st_rdev);
}

static void resolved(const char *path)
{
    char *found = realpath(path, NULL);
    say("realpath %s -> %s", path, found ? found : why());
    free(found);
}

/* Names on two file systems: what is wrong with either is found before that they are two. */
static void apart(const char *d)
{
    char here[PATH_MAX], deep[PATH_MAX], lost[PATH_MAX];
    snprintf(here, sizeof here, "%s/apart", d);
    snprintf(deep, sizeof deep, "%s/apart/below", d);
    snprintf(lost, sizeof lost, "%s/none/below", d);
    int file = open(here, O_CREAT | O_RDWR, 0600), closed = 999, elsewhere = open("/etc/passwd", O_RDONLY), root = open("/", O_RDONLY);
    const char *mine[] = {here, deep, lost, ""}, *others[] = {"/etc/passwd", "/etc/free", "/etc/passwd/below", "/etc/none/below", ""};
    for (int at = 0; at < 4; at++)
        for (int other = 0; other < 5; other++) {
            const char *a = mine[at], *b = others[other];
            say("link %d %d: %d %s", at, other, link(a, b), why());
            say("link back: %d %s", link(b, a), why());
            say("rename: %d %s", rename(a, b), why());
            say("rename back: %d %s", rename(b, a), why());
        }
    int places[] = {file, closed, elsewhere, root, AT_FDCWD};
    for (int at = 0; at < 5; at++) {
        say("linkat %d: %d %s", at, linkat(places[at], "etc/passwd", AT_FDCWD, here, 0), why());
        say("back: %d %s", linkat(AT_FDCWD, here, places[at], "etc/free", 0), why());
        say("renameat: %d %s", renameat(places[at], "etc/passwd", AT_FDCWD, here), why());
        say("back: %d %s", renameat(AT_FDCWD, here, places[at], "etc/free"), why());
    }
    close(file), close(elsewhere), close(root), unlink(here);
}

/* Whether statx(2) names a mount that this process's own table has. */
static int mount_is_known(const char *path) {
    struct statx st;
    char line[4096];
    int known = 0;
    if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st) || !(st.stx_mask & STATX_MNT_ID)) return -1;
    FILE *table = fopen("/proc/self/mountinfo", "r");
    while (fgets(line, sizeof line, table)) known |= strtoul(line, NULL, 10) == st.stx_mnt_id;
    fclose(table);
    return known;
}

int main(int count, char **arguments)
{
    (void)count;
    const char *d = arguments[1];
    struct stat s, t;
    char text[PATH_MAX * 2], where[PATH_MAX];
    umask(022);
    apart(d);
    say("chdir %d %s", chdir(d), getcwd(where, sizeof where));
    say("getcwd small %d %s", getcwd(where, 2) != NULL, why());
    say("getcwd 0 %d %s", getcwd(where, 0) != NULL, why());
    char *fresh = getcwd(NULL, 0);
    say("getcwd fresh %s", fresh);
    say("mkdir %d %d %s", mkdir("x", 0777), mkdir("x", 0777), why());
    say("mkdir deep %d %d", mkdir("x/y", 0755), mkdir("x/y/z", 0700));
    close(open("x/y/z/file", O_CREAT | O_WRONLY, 0640));
    say("chdir %d %s", chdir("x/y"), getcwd(where, sizeof where));
    say("up %d %s", chdir(".."), getcwd(where, sizeof where));
    say("down %d %s", chdir("./y//z/../z/"), getcwd(where, sizeof where));
    facts("stat", stat("file", &s), &s);
    facts("stat ..", stat("../z/file", &s), &s);
    facts("trailing slash", stat("file/", &s), &s);
    facts("empty", stat("", &s), &s);
    facts("missing", stat("none", &s), &s);
    resolved("file/..");
    resolved("file/./../file");
    resolved("../z/file");
    say("times of nothing %d %s", futimens(AT_FDCWD, NULL), why());
    say("times of no path %d %s", utimensat(AT_FDCWD, NULL, NULL, 0), why());
    int place = open(".", O_RDONLY);
    say("times of no path %d %s", utimensat(place, NULL, NULL, 0), why());
    say("by number %ld %s", syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, 0), why());
    errno = 0;
    say("by number %ld %s", syscall(SYS_utimensat, place, NULL, NULL, 0), why());
    uint64_t how[3] = {O_RDONLY};
    int first = dup(place);
    close(first);
    int opened = syscall(SYS_openat2, place, "file", how, sizeof how);
    say("the lowest number %d", opened == first);
    close(opened), close(place);
    chdir("../../..");
    say("back %s", getcwd(where, sizeof where));
    /* Out of the directory altogether and back in. */
    snprintf(text, sizeof text, "%s/x/../../../../../../../../../../../../etc/hostname", d);
    say("out by .. %d", access(text, R_OK));
    char up[PATH_MAX * 2] = "";
    for (const char *c = d; *c; c++) if (*c == '/') strcat(up, "../");
    snprintf(text, sizeof text, "%s%s/x/y/z/file", up, d + 1);
    say("out and in %d", access(text, F_OK));
    chdir("/");
    say("root %s", getcwd(where, sizeof where));
    say("relative from the root %d", access(d + 1, F_OK));
    int root = open("/", O_RDONLY | O_DIRECTORY);
    say("from a descriptor of the root %d", faccessat(root, d + 1, F_OK, 0));
    int dirfd = open(d, O_RDONLY | O_DIRECTORY);
    say("from a descriptor %d", faccessat(dirfd, "x/y/z/file", R_OK, 0));
    int below = openat(dirfd, "x/y", O_PATH | O_DIRECTORY);
    facts("up from a descriptor", fstatat(below, "../y/z/file", &s, 0), &s);
    say("absolute ignores it %d", faccessat(-7, "/dev/null", F_OK, 0));
    say("bad descriptor %d %s", faccessat(777, "x", F_OK, 0), why());
    say("not a directory %d %s", openat(openat(below, "z/file", O_RDONLY), "x", O_RDONLY), why());
    say("fchdir %d %s", fchdir(below), getcwd(where, sizeof where));
    chdir(d);

    say("symlinks %d %d %d %d", symlink("x/y", "link"), symlink("loop", "loop"), symlink("none", "dangling"), symlink("../x", "x/l"));
    ssize_t n = readlink("link", text, sizeof text);
    say("readlink %zd %.*s", n, (int)n, text);
    say("readlink short %zd", readlink("link", text, 2));
    say("readlink of a file %zd %s", readlink("x", text, sizeof text), why());
    say("readlink 0 %zd %s", readlink("link", text, 0), why());
    facts("lstat", (s.st_mode = 0, lstat("link", &s) || !S_ISLNK(s.st_mode)), &s);
    facts("loop", stat("loop", &s), &s);
    facts("dangling", stat("dangling", &s), &s);
    say("O_NOFOLLOW %d %s", open("link", O_RDONLY | O_NOFOLLOW), why());
    say("O_EXCL %d %s", open("x", O_CREAT | O_EXCL | O_WRONLY, 0600), why());
    say("O_DIRECTORY %d %s", open("x/y/z/file", O_DIRECTORY), why());
    say("write to a directory %d %s", open("x", O_WRONLY), why());
    resolved("link"), resolved("x/l/y/../y/z/file"), resolved("loop"), resolved("dangling"), resolved("none"), resolved(""), resolved("."), resolved(".."), resolved("x/y/z/file/"), resolved("link/z/"), resolved("/"), resolved("/usr/../etc");
    snprintf(text, sizeof text, "%s//x/./y/../l/y", d);
    resolved(text);

    say("link %d", link("x/y/z/file", "hard"));
    facts("hard", stat("hard", &s), &s);
    say("rename %d %d %s", rename("hard", "renamed"), rename("none", "n"), why());
    say("renameat2 %d %s", renameat2(AT_FDCWD, "renamed", AT_FDCWD, "x", RENAME_NOREPLACE), why());
    say("exchange %d", renameat2(dirfd, "renamed", dirfd, "link", RENAME_EXCHANGE));
    say("across %d %s", rename("renamed", "/dev/shm/renamed-across"), why());
    say("rmdir %d %s", rmdir("x"), why());
    say("unlink of a directory %d %s", unlink("x"), why());
    mkdir("gone", 0700);
    say("remove %d %d %s", remove("gone"), remove("gone"), why());
    say("mkfifo %d", mkfifo("fifo", 0640));
    facts("fifo", stat("fifo", &s), &s);
    say("mknod %d", mknod("node", S_IFREG | 0600, 0));
    say("chmod %d %d %d", chmod("node", 04751), fchmodat(dirfd, "link", 0604, 0), fchmod(dirfd, 0755));
    facts("node", stat("node", &s), &s);
    say("chown %d %d %d", chown("node", -1, -1), lchown("link", -1, -1), fchownat(dirfd, "node", 1, 1, 0));
    facts("after chown", stat("node", &s), &s);
    struct timespec times[2] = {{1000, 5}, {2000, 6}};
    say("utimensat %d", utimensat(AT_FDCWD, "node", times, 0));
    facts("times", stat("node", &s), &s);
    struct timeval values[2] = {{3000, 7}, {4000, 8}};
    say("utimes %d", utimes("node", values));
    facts("times", stat("node", &s), &s);
    struct utimbuf old = {5000, 6000};
    say("utime %d", utime("node", &old));
    facts("times", stat("node", &s), &s);
    int fd = open("node", O_RDWR);
    times[0].tv_nsec = UTIME_OMIT, times[1].tv_sec = 7000;
    say("futimens %d", futimens(fd, times));
    facts("times", fstat(fd, &s), &s);
    values[1].tv_usec = 5000000;
    say("bad times %d %s", utimes("node", values), why());
    say("now %d", utimensat(AT_FDCWD, "node", NULL, 0));
    stat("node", &s);
    say("recent %d", s.st_mtime > 1000000000);
    say("truncate %d %d %s", truncate("node", 123), truncate("none", 1), why());
    say("access %d %d %d", access("node", R_OK), eaccess("node", W_OK), faccessat(dirfd, "node", R_OK, AT_EACCESS));
    say("xattr %d", setxattr("node", "user.colour", "blue", 4, 0));
    n = getxattr("node", "user.colour", text, sizeof text);
    say("get %zd %.*s", n, n > 0 ? (int)n : 0, text);
    say("size %zd", fgetxattr(fd, "user.colour", NULL, 0));
    say("small %zd %s", getxattr("node", "user.colour", text, 1), why());
    say("none %zd %s", getxattr("node", "user.none", text, 10), why());
    say("list %zd", listxattr("node", text, sizeof text));
    say("remove %d %d %s", removexattr("node", "user.colour"), removexattr("node", "user.colour"), why());

    struct stat a, b, c, e;
    stat("node", &a), __xstat(1, "node", &b), __fxstat(1, fd, &c), __fxstatat(1, dirfd, "node", &e, 0);
    say("generations %d", !memcmp(&a, &b, sizeof a) && !memcmp(&a, &c, sizeof a) && !memcmp(&a, &e, sizeof a));
    __lxstat(1, "dangling", &t);
    say("old lstat %o", t.st_mode);
    struct statx x = {0};
    say("statx %d mask %d same %d", statx(dirfd, "node", 0, STATX_BASIC_STATS, &x), (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS, x.stx_ino == a.st_ino && makedev(x.stx_dev_major, x.stx_dev_minor) == a.st_dev);
    say("statx of the descriptor %d %ld", statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x), (long)x.stx_size);
    struct statfs f;
    struct statvfs v, w;
    say("statfs %d statvfs %d %d same %d", statfs("node", &f), statvfs("node", &v), fstatvfs(fd, &w), f.f_type && v.f_blocks == f.f_blocks && v.f_fsid == w.f_fsid && v.f_flag == w.f_flag);
    say("statfs missing %d %s", statfs("none", &f), why());
    say("pathconf %ld %ld", pathconf("node", _PC_NAME_MAX), fpathconf(fd, _PC_PATH_MAX));

    memset(text, 'n', 255), text[255] = 0;
    say("255 bytes %d %d", close(open(text, O_CREAT | O_WRONLY, 0600)), unlink(text));
    memset(text, 'n', 256), text[256] = 0;
    say("256 bytes %d %s", open(text, O_CREAT | O_WRONLY, 0600), why());
    memset(text, '/', 5000), text[5000] = 0;
    say("slashes %d %s", open(text, O_RDONLY), why());
    snprintf(text, sizeof text, "%s", d);
    while (strlen(text) < 5000) strcat(text, "/.");
    say("5000 bytes %d %s", open(text, O_RDONLY), why());
    text[4094] = 0;
    say("4094 bytes %d", access(text, F_OK));
    /* The longest path is counted with all that stands before the host's part. */
    for (int length = 4095; length <= 4097; length++) {
        memset(text + strlen(d), '/', length), text[length] = 0;
        say("%d bytes %d %s", length, access(text, F_OK), why());
        if (length > 4095) say("%d bytes renamed %d %s", length, rename(text, "/tmp/x"), why());
        if (length > 4095) say("%d bytes as a target %d %s", length, symlink(text, "none"), why());
        if (length > 4095) say("%d bytes renamed to %d %s", length, rename("node", text), why());
    }
    say("renamed to an empty name %d %s", rename("node", ""), why());
    say("renamed to nowhere %d %s", rename("node", (char *)1L), why());
    say("renamed from nowhere %d %s", rename((char *)-1L, "node"), why());
    say("symlink of nowhere %d %s", symlink((char *)1L, "none"), why());
    say("linked to nowhere %d %s", link("node", (char *)1L), why());
    const char *odd = "\xff\x01 \n\xc3";
    say("odd name %d %d %d", close(open(odd, O_CREAT | O_WRONLY, 0600)), access(odd, F_OK), unlink(odd));

    char template[] = "tmp-XXXXXX", bad[] = "tmp-XXXXX", deep[PATH_MAX], suffix[] = "tmp-XXXXXX.c";
    fd = mkstemp(template);
    fstat(fd, &s);
    say("mkstemp %d %o %d", strcmp(template, "tmp-XXXXXX") != 0, s.st_mode, unlink(template));
    say("mkstemp bad %d %s", mkstemp(bad), why());
    fd = mkostemps(suffix, 2, O_CLOEXEC);
    say("mkostemps %s %d %d", suffix + 10, fcntl(fd, F_GETFD), unlink(suffix));
    snprintf(deep, sizeof deep, "%s/tmp-XXXXXX", d);
    say("mkdtemp %d", mkdtemp(deep) == deep);
    say("rmdir %d", rmdir(deep));
    fd = open(d, O_TMPFILE | O_RDWR, 0600);
    say("O_TMPFILE %d %zd", fd > 0, write(fd, "t", 1));
    say("umask %o %o", umask(077), umask(022));
    say("its mount is in the table: %d", mount_is_known(d));
    return 0;
}

/* inotify: what is told of changes, in which order, by which calls. */
#include "watch.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/uio.h>

static void of_directories(void)
{
    begin(0);
    act("mkdir d other; echo old > d/old");
    watch("d", IN_ALL_EVENTS);
    finish();
    act("echo one > d/f; echo two >> d/f; chmod 600 d/f; cat d/f > /dev/null");
    events("files");
    act("mv d/f d/g; mv d/g other/h; mv other/h d/i; ln d/i d/j; rm d/i");
    events("names");
    act("mkdir d/sub; touch d/sub/unseen; mv d/sub d/sub2; rm -r d/sub2");
    events("directories");
    act("echo x > d/a-name-of-sixteen; mv d/old d/a-name-that-is-longer-than-that-by-far");
    events("lengths");
    act("mv d e; mv e d; rm d/j d/a-*; rmdir d");
    events("itself");
}

static void of_files(void)
{
    begin(IN_NONBLOCK);
    act("echo one > f; mkdir away");
    int wd = watch("f", IN_ALL_EVENTS);
    finish();
    act("echo two > f; cat f > /dev/null; chmod 600 f; touch f");
    events("changes");
    act("mv f away/g; mv away/g f; ln f h; rm h");
    events("names");
    act("rm f");
    events("end");
    say("removed %d %s", inotify_rm_watch(fd, wd), why());
    act("echo three > f");
    watch("f", IN_MODIFY | IN_DELETE_SELF);
    act("echo four >> f; rm f; rmdir away");
    events("again");
}

static void numbers(void)
{
    begin(IN_NONBLOCK | IN_CLOEXEC);
    act("mkdir n; touch n/1 n/2 n/3 n/4; ln -s 1 n/link; ln n/1 n/hard");
    watch("n/1", IN_MODIFY);
    watch("n/2", IN_MODIFY);
    watch("/etc", IN_MODIFY);
    watch("n/3", IN_MODIFY);
    watch("/usr", IN_MODIFY);
    watch("n/1", IN_MODIFY);
    watch("n/link", IN_MODIFY);
    watch("n/hard", IN_MODIFY);
    watch("/etc", IN_MODIFY);
    finish();
    act("echo a > n/1; echo a > n/3; echo a > n/2");
    events("numbers");
    watch("n/1", IN_ATTRIB);
    act("echo b > n/1; chmod 600 n/1");
    events("another mask");
    watch("n/1", IN_MODIFY | IN_MASK_ADD);
    act("echo c > n/1; chmod 644 n/1");
    events("a mask more");
    watch("n/1", IN_MODIFY | IN_MASK_CREATE);
    watch("n/4", IN_MODIFY | IN_MASK_CREATE);
    watch("n/4", IN_MODIFY | IN_MASK_CREATE | IN_MASK_ADD);
    for (int wd = -1; wd < 10; wd++)
        say("remove %d: %d %s", wd, inotify_rm_watch(fd, wd), why());
    char buffer[4096];
    ssize_t size = read(fd, buffer, sizeof buffer);
    say("what is left");
    tell(buffer, size);
    for (int wd = 0; wd < 10; wd++)
        say("remove %d: %d %s", wd, inotify_rm_watch(fd, wd), why());
    watch("n/2", IN_MODIFY);
    watch("n/1", IN_MODIFY);
    finish();
    act("echo d > n/1; echo d > n/2; echo d > n/3");
    events("new numbers");
    act("rm -r n");
}

static void flags(void)
{
    begin(0);
    act("mkdir g; touch g/f g/once g/open; ln -s f g/link; ln -s nowhere g/dangling; mkdir g/dir");
    watch("g/link", IN_ALL_EVENTS | IN_DONT_FOLLOW);
    watch("g/dangling", IN_ALL_EVENTS);
    watch("g/dangling", IN_DELETE_SELF | IN_DONT_FOLLOW);
    watch("g/f", IN_MODIFY | IN_ONLYDIR);
    watch("g/dir", IN_CREATE | IN_ONLYDIR);
    watch("g/once", IN_ALL_EVENTS | IN_ONESHOT);
    finish();
    act("echo x > g/f; echo x > g/once; echo y > g/once; touch g/dir/x; rm g/link g/dangling");
    events("flags");
    watch("g", IN_MODIFY | IN_CREATE | IN_EXCL_UNLINK);
    act("exec 3> g/open; echo x >&3; rm g/open; echo y >&3");
    events("unlinked files");
    watch("g", IN_MODIFY);
    act("exec 3> g/open; rm g/open; echo y >&3");
    events("and without the flag");
    act("rm -r g");
}

static void refused(void)
{
    begin(0);
    act("touch r");
    int null = open("/dev/null", O_RDONLY), file = open("r", O_RDONLY);
    say("no file %d %s", inotify_add_watch(fd, "none", IN_MODIFY), why());
    say("no directory %d %s", inotify_add_watch(fd, "r/none", IN_MODIFY), why());
    say("no path %d %s", inotify_add_watch(fd, "", IN_MODIFY), why());
    say("no mask %d %s", inotify_add_watch(fd, "r", 0), why());
    say("no known mask %d %s", inotify_add_watch(fd, "r", 0x10000), why());
    say("closed %d %s", inotify_add_watch(999, "r", IN_MODIFY), why());
    say("no instance %d %s", inotify_add_watch(null, "r", IN_MODIFY), why());
    say("no instance %d %s", inotify_add_watch(file, "r", IN_MODIFY), why());
    say("remove: closed %d %s", inotify_rm_watch(999, 1), why());
    say("remove: no instance %d %s", inotify_rm_watch(null, 1), why());
    say("remove: no watch %d %s", inotify_rm_watch(fd, 1), why());
    watch("r", IN_MODIFY);
    say("write %zd %s", write(fd, "x", 1), why());
    say("seek %d %s", (int)lseek(fd, 0, SEEK_END), why());
    close(null), close(file);
    act("rm r");
}

static void buffers(void)
{
    begin(IN_NONBLOCK);
    act("mkdir b");
    watch("b", IN_CREATE);
    char buffer[4096];
    say("nothing: %zd %s", read(fd, buffer, sizeof buffer), why());
    act("touch b/one b/two b/a-name-of-sixteen");
    say("unread %d", unread(32 + 32 + 48));
    for (int size = 0; size <= 40; size += 8) {
        ssize_t got = read(fd, buffer, size);
        say("read %d: %zd %s", size, got, got < 0 ? why() : "");
        if (got > 0)
            tell(buffer, got);
    }
    say("unread %d", unread(32 + 48));
    struct iovec list[] = { { buffer, 32 }, { buffer + 32, 64 } };
    say("readv %zd %s", readv(fd, list, 2), why());
    ssize_t got = readv(fd, list + 1, 1);
    say("readv %zd", got);
    tell(buffer + 32, got);
    say("nothing: %zd %s", read(fd, buffer, sizeof buffer), why());
    act("for i in $(seq 200); do echo $i > b/$i; done");
    unread(200 * 32);
    int count = 0;
    while ((got = read(fd, buffer, sizeof buffer)) > 0) {
        count += got / 32;
    }
    say("%d events, then %s", count, why());
    /* Equal ones that nobody has read are one. */
    act("touch b/file");
    watch("b/file", IN_MODIFY);
    unread(32);
    act("for i in 1 2 3 4 5 6 7 8 9; do echo $i >> b/file; done");
    usleep(100000);
    say("unread %d", unread(32 + 16));
    finish();
    events("merged");
    act("rm -r b");
}

/* Watches in the guest and on the host by the same instance. */
static void mixed(void)
{
    begin(0);
    char local[] = "/dev/shm/watches-XXXXXX", path[64], other[64];
    mkdtemp(local);
    snprintf(path, sizeof path, "%s/f", local);
    snprintf(other, sizeof other, "%s/g", local);
    act("mkdir m");
    say("local %d", inotify_add_watch(fd, local, IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF));
    watch("m", IN_CREATE | IN_MOVE);
    finish();
    close(open(path, O_WRONLY | O_CREAT, 0644));
    events("local");
    act("touch m/f");
    events("host");
    rename(path, other);
    act("mv m/f m/g");
    unread(32 * 4);
    unlink(other);
    act("touch m/h");
    events("both");
    rmdir(local);
    events("end of the local one");
    act("rm -r m");
}

static void ready(void)
{
    begin(0);
    act("mkdir p");
    int before = epoll_create1(0), after = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u32 = 1 }, found;
    epoll_ctl(before, EPOLL_CTL_ADD, fd, &event);
    watch("p", IN_CREATE);
    event.events = EPOLLIN;
    epoll_ctl(after, EPOLL_CTL_ADD, fd, &event);
    struct pollfd list = { .fd = fd, .events = POLLIN };
    say("before: %d %d %d", epoll_wait(before, &found, 1, 0), epoll_wait(after, &found, 1, 0), poll(&list, 1, 0));
    act("(sleep 0.3; touch p/1) > /dev/null 2>&1 &");
    say("epoll %d", epoll_wait(before, &found, 1, 20000));
    say("epoll %d", epoll_wait(after, &found, 1, 20000));
    say("poll %d", poll(&list, 1, 20000));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct timeval limit = { .tv_sec = 20 };
    say("select %d %d", select(fd + 1, &set, NULL, NULL, &limit), FD_ISSET(fd, &set));
    char buffer[4096];
    tell(buffer, read(fd, buffer, sizeof buffer));
    say("after: %d %d %d", epoll_wait(before, &found, 1, 0), epoll_wait(after, &found, 1, 0), poll(&list, 1, 0));
    act("touch p/2");
    say("edge %d", epoll_wait(before, &found, 1, 20000));
    say("no edge %d", epoll_wait(before, &found, 1, 0));
    act("touch p/3");
    say("edge %d", epoll_wait(before, &found, 1, 20000));
    unread(64);
    tell(buffer, read(fd, buffer, sizeof buffer));
    close(before), close(after);
    act("rm -r p");
}

static void nothing(int signal) {}

static void interrupted(void)
{
    begin(0);
    act("mkdir i");
    watch("i", IN_CREATE);
    char buffer[4096];
    struct sigaction action = { .sa_handler = nothing };
    struct itimerval soon = { .it_value.tv_usec = 100000 };
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    say("interrupted %zd %s", read(fd, buffer, sizeof buffer), why());
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    act("(sleep 0.5; touch i/f) > /dev/null 2>&1 &");
    setitimer(ITIMER_REAL, &soon, NULL);
    ssize_t got = read(fd, buffer, sizeof buffer);
    say("restarted %zd", got);
    tell(buffer, got);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say("does not block %zd %s", read(fd, buffer, sizeof buffer), why());
    act("rm -r i");
}

int main(int argc, char **argv)
{
    start(argv);
    act("mkdir ends");
    struct { const char *name; void (*run)(void); } cases[] = {
        { "directories", of_directories }, { "files", of_files }, { "numbers", numbers }, { "flags", flags },
        { "refused", refused }, { "buffers", buffers }, { "mixed", mixed }, { "ready", ready },
        { "interrupted", interrupted },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        say("# %s", cases[i].name);
        cases[i].run();
    }
    act("rm -r ends");
    return 0;
}

/* inotify instances that are shared, duplicated, inherited and closed, by programs with threads. */
#include "watch.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void *reads(void *buffer)
{
    return (void *)read(fd, buffer, 4096);
}

static int tasks(void)
{
    int count = -2;
    DIR *directory = opendir("/proc/self/task");
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static int descriptors(void)
{
    int count = 0;
    for (int i = 0; i < 1024; i++)
        count += fcntl(i, F_GETFD) >= 0;
    return count;
}

static void ended(void)
{
    int count = 0;
    for (int i = 0; i < 5000 && (count = tasks()) != 1; i++)
        usleep(1000);
    say("threads %d", count);
}

static void threads(void)
{
    begin(0);
    act("mkdir t");
    watch("t", IN_CREATE);
    char buffer[4096];
    pthread_t thread;
    pthread_create(&thread, NULL, reads, buffer);
    usleep(100000);
    /* What changes the ids of all threads has to reach them all. */
    say("setuid %d", setuid(getuid()));
    act("touch t/f");
    void *got;
    pthread_join(thread, &got);
    say("read %ld", (long)got);
    tell(buffer, (long)got);
    pthread_create(&thread, NULL, reads, buffer);
    usleep(100000);
    pthread_cancel(thread);
    pthread_join(thread, &got);
    say("cancelled %d", got == PTHREAD_CANCELED);
    close(fd), fd = -1;
    ended();
    act("rm -r t");
}

static void duplicates(void)
{
    begin(0);
    act("mkdir u");
    watch("u", IN_CREATE);
    finish();
    int first = fd, copy = dup(fd), high = fcntl(fd, F_DUPFD, 50), onto = dup2(fd, 60);
    say("%d %d %d", copy - fd, high, onto);
    close(first);
    fd = copy;
    act("touch u/1");
    events("dup");
    close(copy);
    fd = high;
    act("touch u/2");
    events("F_DUPFD");
    dup2(open("/dev/null", O_RDONLY), high);
    fd = onto;
    act("touch u/3");
    events("dup2");
    /* Another one takes its number. */
    int next = inotify_init();
    dup3(next, onto, O_CLOEXEC);
    close(next), close(high);
    fd = onto;
    watch("u", IN_DELETE);
    finish();
    act("touch u/4; rm u/4");
    events("dup3");
    syscall(SYS_close_range, onto, onto, 0);
    fd = -1;
    ended();
    act("rm -r u");
}

static char *program, *directory;

static void children(void)
{
    begin(0);
    act("mkdir c");
    watch("c", IN_CREATE);
    finish();
    fflush(stdout);
    if (!fork()) {
        ends = 1000;
        act("touch c/1; mkdir own");
        events("child");
        ending = "own";
        watch("c/1", IN_MODIFY);
        finish();
        act("echo x > c/1");
        events("child's own");
        for (int wd = 3; wd < 5; wd++)
            say("remove %d: %d", wd, inotify_rm_watch(fd, wd));
        char buffer[4096];
        tell(buffer, read(fd, buffer, sizeof buffer));
        begin(0);
        watch("c/1", IN_MODIFY);
        finish();
        act("echo x > c/1");
        events("child's instance");
        _exit(0);
    }
    wait(NULL);
    act("rmdir own/* own");
    act("touch c/3");
    events("parent");
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    if (!fork()) {
        execl("/proc/self/exe", program, by_host ? "host" : "own", directory, "inherited", number, NULL);
        _exit(1);
    }
    wait(NULL);
    act("rm -r c new");
}

/* An image that has inherited an instance with watches: its own watches work. */
static void inherited(void)
{
    ends = 2000;
    ending = "new";
    act("touch c/4; mkdir new");
    watch("c/4", IN_MODIFY);
    finish();
    char buffer[4096];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (read(fd, buffer, sizeof buffer) > 0);
    act("echo x > c/4");
    events("inherited");
}

static void turns(void)
{
    if (fd >= 0)
        close(fd);
    fd = -1;
    act("mkdir l");
    int before = descriptors();
    for (int i = 0; i < 1000; i++) {
        fd = inotify_init();
        if (inotify_add_watch(fd, "l", IN_CREATE) != 1)
            say("turn %d %s", i, why());
        close(fd);
    }
    fd = inotify_init();
    for (int i = 1; i <= 1000; i++) {
        int wd = inotify_add_watch(fd, "l", IN_CREATE);
        if (wd < i || inotify_rm_watch(fd, wd))
            say("turn %d: %d %s", i, wd, why());
    }
    close(fd);
    /* More instances than the host grants fail like one that has no watches left. */
    fd = -1;
    say("descriptors %d", descriptors() - before);
    ended();
    act("rmdir l");
}

static void overflow(void)
{
    begin(IN_NONBLOCK);
    act("mkdir o");
    watch("o", IN_CREATE);
    act("cd o; seq 25000 | xargs touch");
    char buffer[4096];
    int overflows = 0, events = 0;
    struct pollfd list = { .fd = fd, .events = POLLIN };
    while (poll(&list, 1, 1000) > 0) {
        ssize_t size = read(fd, buffer, sizeof buffer);
        for (char *at = buffer; at < buffer + size;) {
            struct inotify_event *event = (void *)at;
            at += sizeof *event + event->len;
            events++;
            overflows += event->wd == -1 && event->mask == IN_Q_OVERFLOW;
        }
    }
    say("overflows %d, events enough %d", overflows, events > 16000);
    act("rm -r o");
}

/* What the program has done before it reads, it finds: all of it, and as much as fits into its buffer. */
static void at_once(void)
{
    char buffer[4096];
    int bytes = 0, count = 0;
    begin(IN_NONBLOCK);
    mkdir("a", 0700);
    watch("a", IN_ALL_EVENTS);
    for (int i = 0; i < 100; i++) {
        close(open("a/f", O_WRONLY | O_CREAT, 0600));
        unlink("a/f");
        tell(buffer, read(fd, buffer, sizeof buffer));
        say("no more %zd %s", read(fd, buffer, sizeof buffer), why());
    }
    mkdir("a/d", 0700);
    ioctl(fd, FIONREAD, &bytes);
    say("unread %d", bytes);
    rmdir("a/d");
    for (size_t room = 32; room <= 96; room += 32)
        say("of few bytes %zd", read(fd, buffer, room));
    /* More than the library's queue holds. */
    for (int i = 0; i < 2000; i++) {
        close(open("a/f", O_WRONLY | O_CREAT, 0600));
        unlink("a/f");
    }
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0; count += got)
        ;
    say("all in all %d", count);
    rmdir("a");
}

int main(int argc, char **argv)
{
    start(argv);
    if (argc > 4) {
        fd = atoi(argv[4]);
        inherited();
        return 0;
    }
    program = argv[0], directory = argv[2];
    act("mkdir ends");
    struct { const char *name; void (*run)(void); } cases[] = {
        { "threads", threads }, { "duplicates", duplicates }, { "children", children }, { "turns", turns },
        { "overflow", overflow }, { "at once", at_once },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!strcmp(argv[3], cases[i].name))
            cases[i].run();
    act("rm -r ends");
    return 0;
}

/* What the C cases about inotify share. The changes that they watch for are commands of a shell: of a child of the program
   (its first argument is "own"), or of whoever runs it on the host ("host"), who finds them in the directory that is its
   second argument. */
#include "plain.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

static int by_host;
static int fd = -1, ends;
static const char *ending = "ends";

/* Has a command done in the directory, and waits for it. */
static void act(const char *command)
{
    if (!by_host) {
        if (system(command))
            say("failed: %s", command);
        return;
    }
    int ask = open("ask.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    write(ask, command, strlen(command));
    close(ask);
    rename("ask.new", "ask");
    while (!access("ask", F_OK))
        usleep(2000);
}

static const struct { uint32_t bit; const char *name; } bits[] = {
    { IN_ACCESS, "ACCESS" }, { IN_MODIFY, "MODIFY" }, { IN_ATTRIB, "ATTRIB" }, { IN_CLOSE_WRITE, "CLOSE_WRITE" },
    { IN_CLOSE_NOWRITE, "CLOSE_NOWRITE" }, { IN_OPEN, "OPEN" }, { IN_MOVED_FROM, "MOVED_FROM" },
    { IN_MOVED_TO, "MOVED_TO" }, { IN_CREATE, "CREATE" }, { IN_DELETE, "DELETE" }, { IN_DELETE_SELF, "DELETE_SELF" },
    { IN_MOVE_SELF, "MOVE_SELF" }, { IN_UNMOUNT, "UNMOUNT" }, { IN_Q_OVERFLOW, "Q_OVERFLOW" }, { IN_IGNORED, "IGNORED" },
    { IN_ISDIR, "ISDIR" },
};

/* Events in a buffer; cookies by the order in which they come. Whether the one that ends them was there. */
static int tell(const char *buffer, ssize_t size)
{
    static uint32_t cookies[64];
    static int known;
    char last[32];
    snprintf(last, sizeof last, "end%d", ends);
    for (const char *at = buffer; at < buffer + size;) {
        const struct inotify_event *event = (const void *)at;
        at += sizeof *event + event->len;
        if (event->len && !strcmp(event->name, last))
            return 1;
        char text[512] = "";
        for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
            if (event->mask & bits[i].bit)
                strcat(strcat(text, " "), bits[i].name);
        int cookie = 0;
        if (event->cookie) {
            for (cookie = 0; cookie < known && cookies[cookie] != event->cookie; cookie++);
            if (cookie == known && known < 64)
                cookies[known++] = event->cookie;
            cookie++;
        }
        say("  %d%s cookie %d \"%s\" %u", event->wd, text, cookie, event->len ? event->name : "", event->len);
    }
    return 0;
}

/* All events until now: what is told of the end comes after them. */
static void events(const char *title)
{
    char command[64];
    snprintf(command, sizeof command, "mkdir %s/end%d", ending, ++ends);
    act(command);
    say("%s", title);
    for (;;) {
        char buffer[4096];
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        if (poll(&ready, 1, 20000) != 1) {
            say("  nothing comes");
            return;
        }
        ssize_t size = read(fd, buffer, sizeof buffer);
        if (size < 0) {
            say("  read %s", why());
            return;
        }
        if (tell(buffer, size))
            return;
    }
}

static int watch(const char *path, uint32_t mask)
{
    int wd = inotify_add_watch(fd, path, mask);
    say("watch %s %x: %d %s", path, mask, wd, wd < 0 ? why() : "");
    return wd;
}

static void begin(int flags)
{
    if (fd >= 0)
        close(fd);
    fd = inotify_init1(flags);
}

static void finish(void)
{
    watch(ending, IN_CREATE);
}

/* Waits until so many bytes can be read. */
static int unread(int wanted)
{
    int bytes = 0;
    for (int i = 0; i < 10000 && bytes < wanted; i++) {
        ioctl(fd, FIONREAD, &bytes);
        if (bytes < wanted)
            usleep(1000);
    }
    return bytes;
}

static void start(char **argv)
{
    by_host = !strcmp(argv[1], "host");
    chdir(argv[2]);
}

/* Cancelled threads, pthreads(7): where they end, where they do not, and what is left afterwards. In a directory of its own. */
#include "cancel.h"

static intptr_t opens(void)
{
    for (;;) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        int fd = open("file", O_RDONLY);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        if (fd == -1)
            return -1;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        close(fd);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        if (openat(AT_FDCWD, "none", O_RDONLY) != -1)
            return -1;
    }
}

static intptr_t synchronises(void)
{
    while (fdatasync(file) == 0) {}
    return -1;
}

/* What waits until somebody else does something. */
static intptr_t reads(void)
{
    char byte;
    return read(fifo, &byte, 1);
}

static intptr_t reads_vectors(void)
{
    char bytes[2];
    struct iovec two[] = {{bytes, 1}, {bytes + 1, 1}};
    return readv(fifo, two, 2);
}

static intptr_t reads_a_stream(void)
{
    static FILE *stream;
    stream = fdopen(dup(fifo), "r");
    return fgetc(stream);
}

static intptr_t fills(void)
{
    static char much[1 << 20];
    intptr_t all = 0, some;
    while ((some = write(fifo, much, sizeof much)) > 0)
        all += some;
    return all;
}

static intptr_t meets(void)
{
    return open("alone", O_RDONLY);
}

static intptr_t opens_a_stream(void)
{
    return fopen("alone", "r") != NULL;
}

static struct flock whole(int kind)
{
    return (struct flock){.l_type = kind, .l_whence = SEEK_SET};
}

static intptr_t locks(void)
{
    struct flock lock = whole(F_WRLCK);
    return fcntl(file, F_SETLKW, &lock);
}

static intptr_t locks_a_section(void)
{
    return lockf(file, F_LOCK, 0);
}

static intptr_t polls(void)
{
    struct pollfd one = {fifo, POLLIN};
    return poll(&one, 1, -1);
}

static intptr_t polls_two(void)
{
    struct pollfd two[] = {{fifo, POLLIN}, {other, POLLIN}};
    return poll(two, 2, -1);
}

static intptr_t selects(void)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fifo, &set);
    return select(fifo + 1, &set, NULL, NULL, NULL);
}

/* What is none, or not now. */
static intptr_t waits_for_a_lock(void)
{
    return flock(file, LOCK_EX);
}

static intptr_t reads_by_number(void)
{
    char byte;
    return syscall(SYS_read, fifo, &byte, 1);
}

static intptr_t holds_out(void)
{
    char byte;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    go = 1;
    intptr_t got = read(fifo, &byte, 1);
    say("held out: read %ld", (long)got);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    return read(fifo, &byte, 1);
}


/* What is no cancellation point passes; the next one does not. */
static intptr_t asks_only(void)
{
    struct stat data;
    while (!go)
        sched_yield();
    struct flock lock = whole(F_RDLCK);
    passed = fstat(file, &data) == 0 && stat("file", &data) == 0 && fcntl(file, F_GETFL) != -1
        && fcntl(file, F_SETLK, &lock) == 0 && lseek(file, 0, SEEK_SET) == 0 && flock(file, LOCK_SH) == 0
        && flock(file, LOCK_UN) == 0 && ftruncate(file, 1) == 0;
    lock.l_type = F_UNLCK;
    passed += fcntl(file, F_SETLK, &lock) == 0;
    return pread(file, &data, 1, 0);
}

/* Streams that are told to be none: by their mode, and standard error while libc itself has something to say. */
static intptr_t tells(void)
{
    char byte, *words[] = {"cancel", "-x", NULL};
    while (!go)
        sched_yield();
    FILE *stream = fopen("told", "w+c");
    passed = stream && fputs("told", stream) >= 0 && fflush(stream) == 0;
    passed += fseek(stream, 0, SEEK_SET) == 0 && fgetc(stream) == 't';
    passed += getopt(2, words, "a") == '?';
    return pread(file, &byte, 1, 0);
}

static intptr_t is_sudden(void)
{
    char byte;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    return read(fifo, &byte, 1);
}

static intptr_t is_sudden_in_a_lock(void)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    return flock(file, LOCK_EX);
}

static intptr_t is_sudden_and_busy(void)
{
    char byte;
    struct stat data;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (;;) {
        pread(file, &byte, 1, 0);
        fstat(file, &data);
        stat("file", &data);
    }
}

static intptr_t reads_much(void)
{
    static char room[64];
    intptr_t got = read(fifo, room, sizeof room);
    say("brought %ld", (long)got);
    go = 1;
    return read(fifo, room, sizeof room);
}

static void wake_after(pthread_t thread, const char *name)
{
    usleep(60000);
    write(fifo, "w", 1);
    end(name, thread);
}

/* The call of a sleeper whom nobody has cancelled goes on when another is. */
static void beside(void)
{
    pthread_t patient = start(reads), thread;
    began = 0;
    pthread_create(&thread, NULL, run, locks);
    settle();
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    wake_after(patient, "beside");
}

/* Another process has the locks until it is told. */
static pid_t locker(void)
{
    pid_t child = fork();
    if (child == 0) {
        int own = open("file", O_RDWR);
        struct flock lock = whole(F_WRLCK);
        fcntl(own, F_SETLK, &lock);
        flock(own, LOCK_EX);
        write(other, "l", 1);
        pause();
        _exit(0);
    }
    char byte;
    read(other, &byte, 1);
    return child;
}

static intptr_t runs(void)
{
    return system("echo $$ >number; exec sleep 1000");
}

static void *reads_and_returns(void *unused)
{
    char byte = 0;
    return (void *)(intptr_t)pread(file, &byte, 1, 0);
}

static void systems(void)
{
    struct sigaction interrupt = {.sa_handler = handle}, now;
    sigaction(SIGINT, &interrupt, NULL);
    pthread_t thread = start(runs);
    int number = 0;
    while (number <= 0) {
        char text[16] = "";
        int fd = open("number", O_RDONLY);
        read(fd, text, 15);
        close(fd);
        number = strchr(text, '\n') ? atoi(text) : 0;
    }
    pthread_cancel(thread);
    end("system", thread);
    unlink("number");
    say("its command is there: %d", kill(number, 0) == 0);
    say("a child is there: %d", waitpid(-1, NULL, WNOHANG) != -1);
    sigaction(SIGINT, NULL, &now);
    say("interrupts are heeded: %d", now.sa_handler == handle);
    say("the next runs: %d", system("exit 3") >> 8);
}

/* Many, one after another and at once: each has had what the next ones need. */
static void many(void)
{
    int ended = 0;
    for (int turn = 0; turn < 12; turn++) {
        pthread_t threads[12];
        for (int at = 0; at < 12; at++) {
            began = 0;
            pthread_create(&threads[at], NULL, run, at % 3 ? reads : writes);
            while (!began)
                sched_yield();
        }
        if (turn % 2)
            usleep(20000);
        for (int at = 0; at < 12; at++)
            pthread_cancel(threads[at]);
        for (int at = 0; at < 12; at++) {
            void *result;
            pthread_join(threads[at], &result);
            ended += result == PTHREAD_CANCELED;
        }
    }
    say("many: %d", ended);
}

int main(int argc, char **argv)
{
    int ends[2];
    if (argc == 2)
        chdir(argv[1]);
    pipe(ends);
    pthread_key_create(&key, destroy);
    mkfifo("fifo", 0600), mkfifo("alone", 0600), mkfifo("other", 0600);
    file = open("file", O_RDWR | O_CREAT, 0600);
    fifo = open("fifo", O_RDWR);
    other = open("other", O_RDWR);

    /* The first of all: nothing has been cancelled yet when it begins to wait. */
    cancel("read", reads);
    cancel("write", writes), cancel("open", opens), cancel("fdatasync", synchronises);
    cancel("readv", reads_vectors), cancel("fgetc", reads_a_stream);
    cancel("open of a FIFO", meets), cancel("fopen of a FIFO", opens_a_stream);
    cancel("poll", polls), cancel("poll of two", polls_two), cancel("select", selects);
    cancel("full", fills);
    static char much[1 << 17];
    fcntl(fifo, F_SETFL, O_NONBLOCK);
    while (read(fifo, much, sizeof much) > 0) {}
    fcntl(fifo, F_SETFL, 0);

    pthread_t thread = start(reads_much);
    go = 0;
    write(fifo, "three", 5);
    until_it_goes();
    pthread_cancel(thread);
    end("read again", thread);

    go = 0;
    thread = start(holds_out);
    until_it_goes();
    pthread_cancel(thread);
    wake_after(thread, "held out");
    thread = start(reads_by_number);
    pthread_cancel(thread);
    wake_after(thread, "by number");
    go = 0;
    thread = start(asks_only);
    pthread_cancel(thread);
    go = 1;
    end("asked", thread);
    say("passed %d", passed);

    int shown = dup(2), kept = open("kept", O_RDWR | O_CREAT, 0600);
    dup2(kept, 2);
    go = passed = 0;
    thread = start(tells);
    pthread_cancel(thread);
    go = 1;
    end("told", thread);
    dup2(shown, 2);
    say("passed %d, kept %ld", passed, (long)lseek(kept, 0, SEEK_END));

    pid_t child = locker();
    cancel("F_SETLKW", locks), cancel("lockf", locks_a_section);
    cancel("asynchronous flock", is_sudden_in_a_lock);
    beside();
    thread = start(waits_for_a_lock);
    pthread_cancel(thread);
    usleep(60000);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    end("flock", thread);

    cancel("asynchronous read", is_sudden);
    for (int turn = 0; turn < 5; turn++)
        cancel("asynchronous", is_sudden_and_busy);
    systems();
    many();

    void *result;
    pthread_create(&thread, NULL, reads_and_returns, NULL);
    pthread_join(thread, &result);
    say("at last: read %ld, state %d", (long)(intptr_t)result, state());
    return 0;
}

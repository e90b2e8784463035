/* Functions that few programs use, on files of the directory that is given. */
#define _GNU_SOURCE
#include <aio.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

int isfdtype(int fd, int kind);
int __poll_chk(struct pollfd *list, nfds_t count, int timeout, size_t room);

static void transfers(void) {
    char text[16] = "asynchronous\n", back[16] = "";
    int fd = open("a", O_RDWR | O_CREAT, 0600);
    struct aiocb control = {.aio_fildes = fd, .aio_buf = text, .aio_nbytes = 13};
    const struct aiocb *list[] = {&control};
    printf("write %d", aio_write(&control));
    aio_suspend(list, 1, NULL);
    printf(" %d", aio_error(&control));
    printf(" %zd\n", aio_return(&control));
    control.aio_buf = back;
    control.aio_lio_opcode = LIO_READ;
    struct aiocb *both[] = {&control, NULL};
    printf("list %d", lio_listio(LIO_WAIT, both, 2, NULL));
    printf(" %s", back);
    printf("position %ld\n", (long)lseek(fd, 0, SEEK_CUR));
    close(fd);
    control.aio_fildes = -1;
    int refused = aio_fsync(O_SYNC, &control);
    printf("closed %d %d\n", refused, refused ? errno : aio_error(&control));
}

/* Those of the kernel, as libaio asks for them. */
static void submitted(void) {
    char text[16] = "submitted\n", back[16] = "";
    int fd = open("b", O_RDWR | O_CREAT, 0600);
    aio_context_t context = 0;
    printf("set up %ld", syscall(SYS_io_setup, 4, &context));
    struct iocb out = {.aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (long)text, .aio_nbytes = 10};
    struct iocb in = {.aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (long)back, .aio_nbytes = 15};
    for (struct iocb **one = (struct iocb *[]){&out, &in, NULL}; *one; one++) {
        struct io_event event = {0};
        long begun = syscall(SYS_io_submit, context, 1L, one), ended = 0;
        if (begun == 1)
            ended = syscall(SYS_io_getevents, context, 1L, 1L, &event, NULL);
        printf(" %ld %ld %lld", begun, ended, (long long)event.res);
    }
    in.aio_fildes = -1;
    long refused = syscall(SYS_io_submit, context, 1L, (struct iocb *[]){&in});
    printf(" %ld %d %s", refused, errno, back);
    close(fd);
}

/* One transfer by a ring, as io_uring(7) shows it. */
static int by_ring(int ring, char *queue, struct io_uring_params *layout, struct io_uring_sqe *entry, struct io_uring_sqe asked) {
    unsigned *tail = (unsigned *)(queue + layout->sq_off.tail), *array = (unsigned *)(queue + layout->sq_off.array);
    unsigned *head = (unsigned *)(queue + layout->cq_off.head), mask = *(unsigned *)(queue + layout->cq_off.ring_mask);
    *entry = asked;
    array[*tail & *(unsigned *)(queue + layout->sq_off.ring_mask)] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
        return -errno;
    struct io_uring_cqe *done = (struct io_uring_cqe *)(queue + layout->cq_off.cqes);
    int answer = done[*head & mask].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return answer;
}

static void rings(void) {
    char text[16] = "by a ring\n", back[16] = "";
    struct io_uring_params layout = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &layout), fd = open("r", O_RDWR | O_CREAT, 0600);
    printf("ring %d\n", ring < 0 ? errno : 0);
    if (ring < 0 || !(layout.features & IORING_FEAT_SINGLE_MMAP))
        return;
    int access = PROT_READ | PROT_WRITE;
    char *queue = mmap(NULL, 65536, access, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(NULL, 4096, access, MAP_SHARED, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || entry == MAP_FAILED)
        return;
    struct io_uring_sqe write = {.opcode = IORING_OP_WRITE, .fd = fd, .addr = (long)text, .len = 10};
    struct io_uring_sqe read = {.opcode = IORING_OP_READ, .fd = fd, .addr = (long)back, .len = sizeof back - 1, .off = 3};
    printf("written %d", by_ring(ring, queue, &layout, entry, write));
    printf(" read %d %s", by_ring(ring, queue, &layout, entry, read), back);
    close(fd);
    fd = open("r", O_RDWR);
    read.flags = IOSQE_FIXED_FILE;
    read.fd = 0;
    printf("known %ld", syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1));
    close(fd);
    printf(" read %d %s", by_ring(ring, queue, &layout, entry, read), back);
    close(ring);
}

static void kinds(void) {
    int fd = open("a", O_RDONLY), directory = open(".", O_RDONLY);
    printf("kinds %d %d %d\n", isfdtype(fd, S_IFREG), isfdtype(fd, S_IFCHR), isfdtype(directory, S_IFDIR));
    struct pollfd list[] = {{fd, POLLIN}, {-1, POLLIN}};
    printf("ready %d", __poll_chk(list, 2, 0, sizeof list));
    printf(" %d\n", list[0].revents);
    char entries[4096];
    off_t base = -1;
    ssize_t filled = getdirentries(directory, entries, sizeof entries, &base);
    printf("entries %d %ld\n", filled > 0, (long)base);
    close(fd);
    close(directory);
}

/* A terminal in the place of standard streams that are files. */
static void terminals(void) {
    int standard = dup(0), outer;
    close(0);
    open("a", O_RDONLY);
    fflush(stdout);
    pid_t child = forkpty(&outer, NULL, NULL, NULL);
    if (child == 0) {
        char line[32] = "";
        ssize_t got = read(0, line, sizeof line);
        printf("child %d %d %zd %.*s", isatty(0), isatty(1), got, (int)got, line);
        int fd = open("b", O_WRONLY | O_CREAT, 0600);
        write(fd, "child\n", 6);
        exit(3);
    }
    write(outer, "typed\n", 6);
    char seen[256];
    size_t total = 0;
    for (ssize_t got; (got = read(outer, seen + total, sizeof seen - total)) > 0;)
        total += got;
    int status;
    waitpid(child, &status, 0);
    printf("status %d: %.*s", WEXITSTATUS(status), (int)total, seen);
    char text[16] = "";
    printf("parent %zd", read(0, text, sizeof text - 1));
    printf(" %s", text);
    dup2(standard, 0);
    close(standard);
    close(outer);
    int fd = open("b", O_RDONLY);
    printf("b %zd\n", read(fd, text, sizeof text));
    close(fd);
}

/* What only a terminal can do, asked of a file and of no file. */
static void no_terminals(void) {
    int fds[] = {open("b", O_RDWR), -1};
    for (int at = 0; at < 2; at++) {
        int fd = fds[at];
        struct termios settings = {0};
#define REFUSED(call) (errno = 0, printf(#call " %d", (int)(call)), printf(" %d\n", errno))
        REFUSED(tcgetattr(fd, &settings));
        REFUSED(tcsetattr(fd, TCSADRAIN, &settings));
        REFUSED(tcdrain(fd));
        REFUSED(tcflow(fd, TCOON));
        REFUSED(tcflush(fd, TCIFLUSH));
        REFUSED(tcsendbreak(fd, 0));
        REFUSED(tcgetpgrp(fd));
        REFUSED(tcsetpgrp(fd, getpgrp()));
        REFUSED(tcgetsid(fd));
        REFUSED(isatty(fd));
    }
    close(fds[0]);
}

int main(int count, char **arguments) {
    if (chdir(arguments[1]))
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    transfers();
    submitted();
    rings();
    kinds();
    terminals();
    no_terminals();
    printf("lowest %d\n", dup(0));
    return 0;
}

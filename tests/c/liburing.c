/* Transfers by liburing, which enters the kernel by itself, on files of the working directory. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* More than any version's `struct io_uring`, whose inside is nobody else's. */
struct ring {
    long inside[256];
};

int io_uring_queue_init(unsigned, struct ring *, unsigned);
void io_uring_queue_exit(struct ring *);
struct io_uring_sqe *io_uring_get_sqe(struct ring *);
int io_uring_submit(struct ring *);
int io_uring_submit_and_wait(struct ring *, unsigned);
int io_uring_register_files(struct ring *, const int *, unsigned);
unsigned io_uring_peek_batch_cqe(struct ring *, struct io_uring_cqe **, unsigned);

static void ask(struct ring *ring, struct io_uring_sqe wanted) {
    struct io_uring_sqe *entry = io_uring_get_sqe(ring);
    if (entry)
        *entry = wanted;
}

int transfers(void) {
    struct ring ring = {0};
    char text[] = "by liburing\n", back[16] = "", again[16] = "";
    int begun = io_uring_queue_init(8, &ring, 0);
    printf("ring %d\n", begun);
    if (begun)
        return 0;
    int fd = open("liburing", O_RDWR | O_CREAT | O_TRUNC, 0600);
    ask(&ring, (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .flags = IOSQE_IO_LINK, .fd = fd, .addr = (long)text, .len = 12, .user_data = 1});
    ask(&ring, (struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = fd, .addr = (long)back, .len = 15, .off = 3, .user_data = 2});
    printf("submitted %d\n", io_uring_submit_and_wait(&ring, 2));
    int file = open("liburing", O_RDONLY);
    printf("registered %d\n", io_uring_register_files(&ring, &file, 1));
    close(file);
    ask(&ring, (struct io_uring_sqe){.opcode = IORING_OP_READ, .flags = IOSQE_FIXED_FILE, .addr = (long)again, .len = 2, .user_data = 3});
    printf("submitted %d\n", io_uring_submit(&ring));
    struct io_uring_cqe *done[8];
    unsigned count = 0;
    while ((count = io_uring_peek_batch_cqe(&ring, done, 8)) < 3)
        usleep(1000);
    for (unsigned at = 0; at < count; at++)
        printf("%d: %d\n", (int)done[at]->user_data, done[at]->res);
    printf("%s%s\n", back, again);
    io_uring_queue_exit(&ring);
    close(fd);
    return fflush(stdout);
}

int main(void) {
    return transfers();
}

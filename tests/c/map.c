/* Private maps of host files. */
#include "transcript.h"
#include <stdint.h>
#include <sys/mman.h>

static void *try(const char *title, void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    void *p = mmap(address, length, protection, flags, fd, offset);
    say("%s: %s\n", title, error(p == MAP_FAILED));
    return p == MAP_FAILED ? NULL : p;
}

static unsigned sum(const unsigned char *p, size_t n)
{
    unsigned s = 0;
    while (n--)
        s = s * 31 + *p++;
    return s;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    size_t page = sysconf(_SC_PAGESIZE), size = 300 * 1000 + 123;
    int fd = open(in("file"), O_RDWR | O_CREAT | O_TRUNC, 0644);
    unsigned char *data = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = i * 7 >> 2;
    say("write %zd\n", write(fd, data, size));
    int reader = open(in("file"), O_RDONLY), writer = open(in("file"), O_WRONLY), path = open(in("file"), O_PATH);
    int dir = open(in("."), O_RDONLY);

    unsigned char *p = try("whole", NULL, size, PROT_READ, MAP_PRIVATE, reader, 0);
    size_t rounded = (size + page - 1) / page * page;
    say("  same %d, zeros %u, sum %u\n", !memcmp(p, data, size), sum(p + size, rounded - size), sum(p, rounded));
    say("  position unmoved %ld\n", (long)lseek(reader, 0, SEEK_CUR));
    close(reader);
    say("  outlives the descriptor %d\n", p[1000] == data[1000]);
    say("  unmap %d\n", munmap(p, size));
    reader = open(in("file"), O_RDONLY);
    p = try("middle", NULL, 5000, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 3 * page);
    say("  same %d, rest of the page %u\n", !memcmp(p, data + 3 * page, 5000), sum(p, 2 * page));
    memset(p, 'x', 100);
    char head[4];
    say("  file unchanged %d\n", pread(fd, head, 4, 3 * page) == 4 && !memcmp(head, data + 3 * page, 4));
    say("  protect %d\n", mprotect(p, 2 * page, PROT_NONE));
    munmap(p, 2 * page);
    p = try("grown by mremap", NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0);
    munmap(p, page);

    void *place = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(place, 'a', 8 * page);
    p = try("fixed", (char *)place + 2 * page, 2 * page, PROT_READ, MAP_PRIVATE | MAP_FIXED, reader, page);
    say("  in place %d, same %d, neighbours %d\n", p == (unsigned char *)place + 2 * page, !memcmp(p, data + page, 2 * page),
        ((char *)place)[2 * page - 1] == 'a' && ((char *)place)[4 * page] == 'a');
    try("fixed on top", place, page, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, reader, 0);
    try("fixed askew", (char *)place + 1, page, PROT_READ, MAP_PRIVATE | MAP_FIXED, reader, 0);
    munmap((char *)place + page, page);
    p = try("fixed in a gap", (char *)place + page, page, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, reader, 0);
    say("  same %d\n", p && !memcmp(p, data, page));
    munmap(place, 8 * page);

    p = try("shared for reading", NULL, size, PROT_READ, MAP_SHARED, reader, 0);
    say("  same %d sync %d\n", !memcmp(p, data, size), msync(p, size, MS_SYNC));
    munmap(p, size);
    try("shared for writing, read-only file", NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0);
    try("write-only file", NULL, page, PROT_READ, MAP_PRIVATE, writer, 0);
    try("path-only", NULL, page, PROT_READ, MAP_PRIVATE, path, 0);
    try("directory", NULL, page, PROT_READ, MAP_PRIVATE, dir, 0);
    try("nothing", NULL, 0, PROT_READ, MAP_PRIVATE, reader, 0);
    try("odd offset", NULL, page, PROT_READ, MAP_PRIVATE, reader, 100);
    try("no kind", NULL, page, PROT_READ, 0, reader, 0);
    try("far offset", NULL, page, PROT_READ, MAP_PRIVATE, reader, ~(off_t)0 << 12 & INT64_MAX);
    try("too long", NULL, SIZE_MAX - page, PROT_READ, MAP_PRIVATE, reader, 0);
    try("far too long", NULL, (size_t)1 << 60, PROT_READ, MAP_PRIVATE, reader, 0);
    p = try("beyond the end", NULL, page, PROT_READ, MAP_PRIVATE, reader, 1024 * page);
    munmap(p, page);
    try("closed", NULL, page, PROT_READ, MAP_PRIVATE, 777, 0);
    p = try("executable", NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE, reader, 0);
    say("  same %d\n", !p || !memcmp(p, data, page));
    return 0;
}

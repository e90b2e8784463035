/* Calls on files where there is little of a stack: in a handler on an alternate one, in the smallest thread. Below each lies a page that
   nobody may touch. In the directory of the argument. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int file;

static void *stack_of(size_t size) {
    size_t page = sysconf(_SC_PAGESIZE);
    char *low = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(low, page, PROT_NONE);
    return low + page;
}

static void writes(int signal) {
    char byte;
    write(file, "handler\n", 8);
    pread(file, &byte, 1, 0);
    lseek(file, 0, SEEK_END);
}

static void *works(void *nothing) {
    struct stat found;
    int made = open("made", O_CREAT | O_RDWR, 0600);
    write(made, "thread\n", 7);
    fstat(made, &found);
    close(made);
    stat("made", &found);
    return NULL;
}

int main(int count, char **arguments) {
    /* A signal's frame, and what a page of the library's would not fit into. */
    size_t size = sysconf(_SC_MINSIGSTKSZ) + 3 * 1024;
    stack_t other = {.ss_sp = stack_of(size), .ss_size = size};
    struct sigaction action = {.sa_handler = writes, .sa_flags = SA_ONSTACK};
    pthread_attr_t smallest;
    pthread_t thread;

    chdir(arguments[1]);
    file = open("file", O_CREAT | O_RDWR, 0600);
    sigaltstack(&other, NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    pthread_attr_init(&smallest);
    pthread_attr_setstack(&smallest, stack_of(PTHREAD_STACK_MIN), PTHREAD_STACK_MIN);
    pthread_create(&thread, &smallest, works, NULL);
    pthread_join(thread, NULL);
    puts("done");
}

# Programs of another libc, whose dynamic linker cannot load the library: by each way to start one, and what they start.
cat > p.c << 'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **arguments) {
    char line[64] = "";
    int environment = getenv("LD_PRELOAD") != NULL;
    FILE *file = fopen("in", "r");
    if (!file || !fgets(line, sizeof line, file)) return 9;
    fclose(file);
    printf("musl %d %s", environment, line);
    if (read(0, line, 5) == 5) printf("inherited %.5s\n", line);
    fflush(stdout);
    if (count > 2 && !strcmp(arguments[1], "run")) {
        execvp(arguments[2], arguments + 2);
        return 8;
    }
    return 7;
}
C
musl-gcc -o p p.c || exit 1
readelf -l p | grep -c 'ld-musl'
echo text > in
./p < in > out
echo $? $(cat out)
local=$(mktemp)
cp p $local
chmod +x $local
$local < in
echo $?
printf '#!%s\n' $PWD/p > script
printf '#!%s\n' $PWD/script > nested
chmod +x script nested
./script < in
./nested < in
env -i ./p < in
find . -name in -exec ./p \;
PATH=$PWD:$PATH python3 - << 'P'
import os, subprocess
for close in (True, False):
    print(subprocess.run(['p'], close_fds=close, stdin=open('in')).returncode, flush=True)
    print(subprocess.run(['./p'], close_fds=close, stdin=subprocess.DEVNULL, env={}).returncode, flush=True)
print(os.waitstatus_to_exitcode(os.system('./p < in')), flush=True)
print(os.popen('./p < in').read(), flush=True)
child = os.posix_spawnp('p', ['p'], os.environ)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
child = os.fork()
if child == 0:
    os.execve(os.open('p', os.O_RDONLY), ['p'], os.environ)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
P
# Found by a name in the directory where they are started, and there alone.
cat > spawn.c << 'C'
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
extern char **environ;
int main(int count, char **arguments) {
    int directory = open("there", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int by = 0; by < 4; by++) {
        char *words[] = {by < 2 ? "./q" : "q", NULL};
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        if (by % 2) posix_spawn_file_actions_addfchdir_np(&actions, directory);
        else posix_spawn_file_actions_addchdir_np(&actions, "there");
        int child, status = -1;
        int failure = (by == 3 ? posix_spawnp : posix_spawn)(&child, words[0], &actions, NULL, words, environ);
        if (!failure) waitpid(child, &status, 0);
        printf("%d %x\n", failure, status);
        fflush(stdout);
    }
    return 0;
}
C
gcc -o spawn spawn.c
guest=$(mktemp -d)
mkdir $guest/there
cp p $guest/there/q
cp in $guest/there
cp spawn $guest
(cd $guest && PATH=.:$PATH ./spawn < /dev/null)
rm -r $guest
# What they start works, as programs without the library do.
./p run cat in /etc/hostname < in
./p run sh -c 'cat in >> grown; cd ..; cat work/in; test -z "$LD_PRELOAD" && echo none'
cat grown
rm -f $local script nested

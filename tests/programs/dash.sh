# Program: dash
# Package: dash
# Commands: dash
# Does: redirections, here documents, pipelines, background jobs, loops and subshells on host files; cd, exec, traps, umask
cp "${0%.sh}-script" script
echo 'echo included; return 4' > included
dash script
echo "status $?"
cat bye
dash -e -c 'false; echo not'
echo $?
dash < included
printf '#!/bin/dash\necho "$@" > ran\n' > run
chmod 755 run
./run a b
cat ran
dash -c 'cd d1 && exec cat f1'

# Program: GNU bash
# Package: bash
# Commands: bash
# Does: redirections of every kind, here documents, process substitution, coprocesses, globs, sourced and executed scripts, traps, history, 300 subshells
exec {v}> auto
echo auto >&$v
exec {v}>&-
cat auto
echo both &> b
echo more &>> b
cat b
exec 3<> rw
echo one >&3
echo two >&3
exec 3>&-
exec 3< rw
read -r -u 3 a
read -r b <&3
exec 3<&-
echo "$a $b"
{
    echo out
    echo err >&2
} > o 2> e
{
    echo out2
    echo err2 >&2
} >> o 2>&1
cat o e
set -o noclobber
echo x > o
echo y >| o
cat o
set +o noclobber
cat <<< "string" > s
cat << X > h
here $((1 + 2)) $(cat s)
X
cat h <(echo sub) - < s
echo to-sub > >(cat > sub)
sleep 0.2
cat sub
diff <(sort h) <(cat h) && echo same
coproc C { while read -r l; do echo "<$l>" | tee -a coproc; done; }
echo hi >&"${C[1]}"
read -r l <&"${C[0]}"
echo "$l"
eval "exec ${C[1]}>&-"
wait
cat coproc
mapfile -t m < <(seq 500 | tee seq)
echo ${#m[@]} ${m[499]}
x=$(< seq)
echo ${#x}
readarray -n 3 -s 5 -t k < seq
echo "${k[@]}"
mkdir -p g/{a..c}/{1..3}
touch g/{a..c}/{1..3}/{x,y}.t
shopt -s globstar nullglob extglob dotglob
echo g/**/x.t
echo g/!(b)/+([12])/y.*
echo none*
set -- g/*/
echo $#
compgen -G 'g/a/*'
for f in g/**/*.t; do echo "$f" > "$f"; done
cat g/b/2/*.t
while read -r line; do [[ $line == *c* ]] && echo "$line"; done < <(cat g/*/1/x.t)
echo 'echo sourced $1 $BASH_SOURCE; return 3' > src
. ./src arg
echo $?
printf '#!/bin/bash\necho "$0 $#"; exit 7\n' > run
chmod +x run
./run a b
echo $?
PATH=$PWD:$PATH
run
cp run "with space"
"./with space" x
printf '#!/usr/bin/env -S bash -e\necho env "$@"\n' > envrun
chmod +x envrun
./envrun 1 2
printf 'echo no interpreter\n' > plain
chmod +x plain
./plain
chmod -x plain
bash ./plain
./src
echo $?
./none
echo $?
. ./none
echo $?
trap 'echo exit > trapped' EXIT
(trap 'echo sub' EXIT)
bash -c 'trap "echo term > term; exit 5" TERM; kill $$; sleep 5'
echo $?
cat term
trap - EXIT
i=0
while [ $i -lt $((300 / SCALE)) ]; do
    (echo $i >> count)
    i=$((i + 1))
done
wc -l < count
for i in $(seq $((40 / SCALE))); do echo $i > bg.$i & done
wait
cat bg.* | sort -n | tail -1
pushd g > /dev/null
pwd | sed 's#.*/##'
cd a/1
pwd | sed 's#.*/g/#g/#'
cd -
popd > /dev/null
cd g/../g/a
echo "${PWD##*/}" "${OLDPWD##*/}"
cd "$OLDPWD"
mkdir gone
cd gone
rmdir ../gone
pwd | sed 's#.*/##'
ls
cd ..
cd none
echo $?
CDPATH=g cd a > /dev/null
cd ../..
set -o history
HISTFILE=$PWD/history
history -s one
history -s 'two words'
history -a
history -c
history -r
history
set +o history
echo 'echo rc' > rc
bash --rcfile rc -i -c 'echo $-' 2> /dev/null
BASH_ENV=./rc bash -c 'echo with'
ENV=./rc bash --posix -c 'echo posix'
bash -n run
bash -x run 2>&1 | head -2
bash < run
cat run | bash -s 1 2
[[ -f run && -x run && ! -x src && -s src && run -nt /etc/hostname && -O run && -N run ]] && echo tests
[[ run -ef ./run ]] && echo ef
test -t 0
echo $?
read -r -t 1 -N 4 four < seq
echo "$four"
echo "$(cat none 2>&1)"
cat < none
echo > .
echo > none/x
: > run/x
echo "status $?"
exec 9< seq
head -1 <&9
(
    read -r y
    echo "$y"
) <&9
cat /dev/fd/9 | head -1
exec 9<&-
echo >&9
printf '%s\n' {1..20000} > lines
n=0
while read -r l; do n=$((n + l)); done < lines
echo $n
wc -c < lines
exec > final
echo to-final
ls | wc -l
exec bash -c 'echo replaced; cat s'

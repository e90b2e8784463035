# Program: jemalloc, and GCC's undefined-behaviour sanitizer
# Package: gcc libjemalloc2
# Commands: gcc
# Does: a program of threads, streams, maps and children, plain, with the sanitizer, and with jemalloc linked, preloaded before and preloaded behind
jemalloc=$(ldconfig -p | sed -n 's/.*libjemalloc.so.2 .*=> //p' | head -n 1)
build() {
    gcc -w -pthread -o "../$1" "$(dirname "$0")/allocators.c" "${@:2}"
}
build plain
build undefined -g -fsanitize=undefined -fno-sanitize-recover=all
build linked -Wl,--no-as-needed "$jemalloc"
for kind in plain undefined linked; do
    mkdir $kind
    (cd $kind && "../../$kind")
    echo "$kind $?"
done
mkdir before behind
(cd before && LD_PRELOAD="$jemalloc $LD_PRELOAD" ../../plain)
echo "before $?"
(cd behind && LD_PRELOAD="$LD_PRELOAD $jemalloc" ../../plain)
echo "behind $?"

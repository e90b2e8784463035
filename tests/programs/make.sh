# Program: GCC and make
# Package: gcc make
# Commands: gcc make ar ld strip nm objcopy
# Does: a project of 30 sources with dependency files, static and shared libraries, parallel make, incremental and out-of-tree builds; runs what was built, dlopen, debug information, coverage of failures
# Long in uml: yes
mkdir src
sources=$((SCALE > 1 ? 10 : 30))
for i in $(seq $sources); do
    printf '#include "all.h"\nint f%d(int n) { return n + %d * SCALE; }\n' $i $i > src/f$i.c
    echo "int f$i(int);" >> src/all.h
done
echo '#define SCALE 2' >> src/all.h
{
    printf '#include <stdio.h>\n#include "all.h"\nint main(void) { int n = 0;\n'
    for i in $(seq $sources); do echo "n = f$i(n);"; done
    printf 'FILE *f = fopen("result", "w"); fprintf(f, "%%d\\n", n); fclose(f); printf("%%d\\n", n); return 0; }\n'
} > src/main.c
cat > Makefile << 'X'
objects = $(patsubst src/%.c,build/%.o,$(filter-out src/main.c,$(wildcard src/*.c)))
CFLAGS = -g -O1 -MMD -Wall
all: build/static build/shared
build/static: build/main.o build/liball.a
	$(CC) -o $@ $^
build/shared: build/main.o build/libshared.so
	$(CC) -o $@ build/main.o -Lbuild -lshared -Wl,-rpath,'$$ORIGIN'
build/liball.a: $(objects)
	$(AR) rcs $@ $^
build/libshared.so: $(objects)
	$(CC) -shared -o $@ $^
build/%.o: src/%.c | build
	$(CC) $(CFLAGS) -fPIC -c -o $@ $<
build:
	mkdir $@
install: all
	install -D -t $(DESTDIR)/bin build/static build/shared
	install -D -m 644 -t $(DESTDIR)/lib build/libshared.so
clean:
	$(RM) -r build
-include $(wildcard build/*.d)
.PHONY: all clean install
X
make -s -j2 && ls build | wc -l
build/static && build/shared && cat result
make -q && echo up to date
touch src/f7.c && make | grep -c 'src/f' && sed -i 's/SCALE 2/SCALE 3/' src/all.h && make -j2 | grep -c 'src/' && build/shared
make -s install DESTDIR="$PWD/dest" && find dest -type f | sort && dest/bin/static && strip dest/bin/static && dest/bin/static && (cd dest/bin && mkdir ../bin/run && cd run && ../static && cat result)
LD_LIBRARY_PATH=dest/lib dest/bin/shared && nm build/liball.a | grep -c ' T ' && ar t build/liball.a | wc -l && ar x build/liball.a f3.o && cmp f3.o build/f3.o && rm f3.o
objcopy --only-keep-debug build/static debug && readelf -S debug | grep -c debug && objdump -d build/f3.o | grep -c '<f3>:' && size build/f3.o | wc -l
printf '#include <dlfcn.h>\n#include <stdio.h>\nint main(int n, char **v) { void *l = dlopen(v[1], RTLD_NOW); int (*f)(int) = l ? (int (*)(int))dlsym(l, "f9") : 0; printf("%%d\\n", f ? f(1) : -1); return 0; }\n' > dl.c && gcc -o dl dl.c && ./dl "$PWD/build/libshared.so" && ./dl ./build/libshared.so && ./dl ./none.so
mkdir out && make -s -C src -f ../Makefile -n all 2>&1 | tail -1 && gcc -save-temps=obj -c -o out/x.o src/f1.c && ls out && gcc -E src/f2.c | tail -1 && gcc -S -o - src/f2.c | grep -c f2
gcc -flto -O2 -o lto src/*.c && ./lto && gcc -static -o st src/*.c && ./st && gcc -pipe -x c -S -o - - < src/all.h | wc -l
gcc -o pch.h.gch src/all.h && ls pch.h.gch
printf 'int main(void) { return missing(); }\n' > bad.c
gcc -w -c bad.c && gcc bad.o 2>&1 | grep -o 'undefined reference.*'
gcc none.c
echo $?
gcc -o none/x src/*.c
echo $?
printf 'x:\n\tfalse\ny: none\n' > bad.mk
make -f bad.mk x y -k
echo $?
ls bad.o a.out
printf '#include <stdlib.h>\nint main(void) { abort(); }\n' > abort.c && gcc -o abort abort.c && bash -c './abort; exit $?' 2> /dev/null
echo $?
chmod -x abort
./abort
echo $?
make -s clean
ls -d build
# The linker and archiver write times and random names into these.
rm -f lto pch.h.gch

# Program: Vim
# Package: vim
# Commands: vim
# Does: vim -es edits 40 files: substitutes, globals, macros, filters, backups, undo files, swap recovery, write-protected and linked files, directories, sessions
awk 'BEGIN {for (i = 1; i <= 40; i++) {f = "f" i; for (n = i; n <= i + 60; n++) print n > f; close(f)}}'
vi() { vim -u NONE -i NONE -N -es "$@" < /dev/null; }
vi -c '%s/5/five/g' -c 'wq' f1 && head -6 f1
vi -c 'g/1/d' -c 'normal Goappended' -c 'w out1' -c 'q!' f2 && tail -2 out1 && head -1 f2
vi -c 'argdo %s/7/seven/ge | update' -c 'qa' f{3..30} && cat f{3..30} | md5sum
vi -c 'set backup writebackup backupext=.bak backupdir=.' -c '1d' -c wq f31 && cmp f31 f31.bak
vi -c 'set backupcopy=yes' -c '1d' -c wq f32 && vi -c 'set backupcopy=no' -c '1d' -c wq f33
ln f34 hard && vi -c '1d' -c wq f34 && stat -c '%h %n' f34 && ln -s f35 link && vi -c '1d' -c wq link && stat -c %F link && wc -l f35
vi -c 'set undofile undodir=.' -c '1d' -c wq f36 && ls .f36.un~ && vi -c 'set undofile undodir=.' -c 'undo' -c wq f36 && wc -l f36
vi -c '%!sort -rn' -c '1r f1' -c '$r !echo from shell' -c wq f37 && head -2 f37 && tail -1 f37
vi -c 'w! new' -c 'w >> new' -c 'saveas other' -c '2,4w part' -c '!cat part > shell' -c q f38 && wc -l new other part shell
vi -c 'set fileformat=dos fileencoding=utf-16 nofixendofline' -c wq f39 && od -c f39 | head -2
chmod 444 f40 && vi -c '1d' -c 'wq!' f40 && stat -c '%a' f40 && chown daemon f40 && vi -c '1d' -c 'wq!' f40 && stat -c '%U' f40 && wc -l f40
vi -c 'e new dir/x' -c 'w' -c 'q!'
echo $?
vi -c 'w none/x' -c 'q!' f1
echo $?
vi -c 'call mkdir("made/deep", "p")' -c 'call writefile(["a", "b"], "made/deep/w")' -c 'echo readfile("made/deep/w")' -c 'call delete("made/deep/w")' -c 'call rename("out1", "made/moved")' -c 'echo glob("f1*")' -c 'q!' && ls made
printf ':%%s/3/three/\r:wq\r' > keys && vim -u NONE -i NONE -N -n -s keys f1 > /dev/null 2>&1 < /dev/null
grep -c three f1
vim -u NONE -i info -N -es -c '/2' -c 'let @a = "reg"' -c 'wviminfo' -c 'q!' f1 && grep -c reg info
rm info
vim -u NONE -i NONE -N -es -c 'edit f1' -c 'split f2' -c 'mksession s.vim' -c 'qa!' < /dev/null && grep -c badd s.vim
rm s.vim
vim -u NONE -i NONE -N -es -c 'set swapfile directory=.' -c 'normal iswapped' -c 'preserve' -c '!cp .f2.swp kept.swp' -c 'qa!' f2 < /dev/null
mv kept.swp .f2.swp && vim -u NONE -i NONE -N -es -r f2 -c 'w recovered' -c 'qa!' < /dev/null > /dev/null 2>&1
head -1 recovered
ls .f2.swp && rm .f2.swp
printf 'set number\nlet g:x = 1\n' > rc && vim -u rc -i NONE -es -c 'call writefile([g:x . &number], "rc-out")' -c q f1 && cat rc-out
vimdiff --version | head -1 | cut -c1-3
rm -f .*.un~

# Program: man-db
# Package: man-db
# Commands: man mandb whatis apropos lexgrog manpath
# Does: a manual of 30 pages on the prefix: index made and updated, pages found, formatted, searched; compressed and linked pages, local files
# Long in uml: yes
mkdir -p man/man1 man/man5 cat
for i in $(seq $((SCALE > 1 ? 12 : 30))); do printf '.TH TOOL%d 1\n.SH NAME\ntool%d \\- does thing %d\n.SH DESCRIPTION\n.B tool%d\nis a tool with word%d.\n' $i $i $i $i $((i % 5)) > man/man1/tool$i.1; done
printf '.TH CONF 5\n.SH NAME\nconf \\- configures tools\n.SH FILES\nNone.\n' > man/man5/conf.5
echo '.so man1/tool1.1' > man/man1/alias.1
gzip -n man/man1/tool2.1
ln -s tool3.1 man/man1/linked.1
export MANPATH="$PWD/man" MANROFFOPT=-c MANWIDTH=70
mandb -q -c man
echo $?
ls man
# A lock that a child of mandb has inherited goes a moment after the child.
sleep 0.5
whatis tool1 tool2 conf linked
apropos 'thing 2' | sort
apropos -e conf
man -w tool1 tool2 alias | sed 's#.*/man/#man/#'
man tool1 | head -12
man alias | tail -8
man 5 conf | cat -s | tail -5
man -l man/man1/tool4.1 | head -3
man -K -w word3 | sed 's#.*/man/#man/#' | sort
man -k tool | wc -l
man -f tool5
man none
echo $?
man 7 tool1
echo $?
lexgrog man/man1/tool6.1
printf '.TH NEW 1\n.SH NAME\nnew \\- new one\n' > man/man1/new.1
mandb -q man
sleep 0.5
whatis new
rm man/man1/tool7.1
mandb -q -p man
sleep 0.5
whatis tool7
echo $?
man -Tutf8 -l man/man1/tool8.1 > formatted
wc -l formatted
man -t -l man/man1/tool9.1 2> /dev/null > ps
echo $?
man --path
cd man
man ./man1/tool10.1 | head -2
accessdb index.db | grep -c tool
manpath -q | sed 's#.*/##'
man --recode=UTF-8 man1/tool11.1 | head -1
rm -rf index.db ../ps

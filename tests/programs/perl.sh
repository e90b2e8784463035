# Program: Perl
# Package: perl
# Commands: perl
# Does: opens of every kind, -i, directory handles, stat and file tests, File::Find, File::Copy, File::Temp, File::Path, flock, sysopen, tied and DB files, pipes, fork with shared positions
cp "${0%.sh}.pl" files.pl
echo 'print "required\n"; die "dies\n"' > required.pl
printf 'package Module; sub hello { print __FILE__, "\\n" } 1;\n' > module.pm
perl files.pl
echo "status $?"
awk 'BEGIN {for (i = 1; i <= 60; i++) {f = "f" i; for (n = 1; n <= i; n++) print n > f; close(f)}}'
perl -i.bak -pe 's/7/seven/; close ARGV if eof' f? && cat f9 f9.bak | md5sum
perl -i -ne 'print unless /1/' f?? && cat f23 | md5sum && wc -l f?? | tail -1
perl -ne 'print "$ARGV $." if eof; close ARGV if eof' f1? && echo
perl -e 'unlink glob "f?.bak"; print scalar(@{[glob "f*"]}), "\n"; while (<STDIN>) { print if $. == 3 }' < f30
perl -I. -Mmodule -e 'Module::hello()' 2>&1 | head -1 | cut -c1-20
perl -MPOSIX -e 'my $fd = POSIX::open("posix", O_CREAT | O_WRONLY, 0644); POSIX::write($fd, "abc", 3); POSIX::dup2($fd, 9); POSIX::write(9, "def", 3); POSIX::close(9); print((POSIX::fstat($fd))[7], POSIX::access("posix", R_OK), "\n"); POSIX::mkfifo("fifo", 0600); POSIX::nice(1)'

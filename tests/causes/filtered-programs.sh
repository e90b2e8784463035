# man-db's helpers run, and fork, under a filter of system calls that lets them have no socket.
printf '.TH A 1\n.SH NAME\na \\- page of the host\n' > a.1
lexgrog a.1
man -Tutf8 -l a.1 > out
wc -l < out

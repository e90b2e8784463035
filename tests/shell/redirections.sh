# Redirections, pipelines and the working directory; $1 holds what commands.sh is given too.
D=$1
sort < $D/f > $D/o; cat $D/o; cat /etc/hostname >> $D/o; wc -l < $D/o | tr -d ' '
echo x > $D/e; while read l; do echo "got $l"; done < $D/f; printf 'a\nb\n' > $D/e; cat < $D/e; cat >> $D/e <<< here; cat $D/e
{ echo out; echo err >&2; } > $D/both 2>&1; cat $D/both; ls /nonexistent 2> $D/err; wc -l < $D/err
exec 5< $D/f; read -u 5 a; read -u 5 b; echo "$a|$b"; head -1 <&5; exec 5<&-
exec 3<> $D/f; echo "zz" >&3; exec 3>&-; head -1 $D/f
tee $D/t1 $D/t2 < $D/g > /dev/null; cat $D/t1 $D/t2; awk '{print $1}' < $D/g; sed -n 1p < $D/f; perl -ne 'print' < $D/g; python3 -c 'import sys; print(sys.stdin.read())' < $D/g; python3 -c 'print("py")' > $D/p; cat $D/p
(echo sub; echo shell) > $D/s; cat $D/s; x=$(< $D/g); echo "$x"; sort $D/f | uniq > $D/u; cat $D/u; cat $D/f | while read q; do echo $q; done | tail -1
mapfile -t arr < $D/g; echo ${#arr[@]}; [ -s $D/g ] && echo nonempty; for i in $D/*; do basename $i; done | tr '\n' ' '; echo; uniq < $D/f > $D/w1; cmp $D/w1 $D/f; diff <(cat $D/f) $D/f && echo same; tac < $D/f; od -An -c < $D/g; head -c 3 < $D/nums; tail -n 1 < $D/nums; dd if=$D/nums bs=10 count=1 2>/dev/null; paste - - < $D/g; join - $D/g < $D/fs; nl < $D/g; (head -1; head -1) < $D/nums
cd $D; ls; pwd; find . | sort; du -ab t | sort; cat f; cd t; cat u/v/leaf; cd ..; pwd; ls -R t; echo rel > relf; cat < relf; cd /; ls $D | wc -l

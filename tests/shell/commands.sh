# Programs that open, walk, map and rename files themselves.
D=$1
sort $D/f; sort -o $D/o $D/f; cat $D/o; sort -u $D/f; sort -S 10k -T /tmp $D/nums | md5sum
wc $D/nums $D/f; sed -n 2p $D/f; sed -i 's/a/ZZ/' $D/f; cat $D/f; sed -n 'w '$D/sedout $D/f; cat $D/sedout
uniq $D/f $D/uq; cat $D/uq; tac $D/f; od -c $D/f; join $D/fs $D/g; paste $D/f $D/g; echo teed | tee $D/te; tee -a $D/te < /etc/hostname >/dev/null; wc -l < /etc/hostname; cat $D/te | head -1
head -n 2 $D/nums; head -n -2998 $D/nums; tail -n 2 $D/nums; tail -c 5 $D/nums; tail -n +2999 $D/nums; cut -d' ' -f2 $D/f; nl $D/f; fold -w 2 $D/f; expand $D/f; fmt $D/f; pr -t $D/f; comm $D/fs $D/g; csplit -s -f $D/cs $D/nums 100 2000; wc -l $D/cs00 $D/cs01; split -l 1000 $D/nums $D/sp; ls $D; cksum $D/nums; md5sum $D/nums; sha256sum $D/nums; b2sum $D/nums; base64 $D/f; shuf -n 1 $D/nums | wc -l; tsort $D/f; sum $D/nums; cmp $D/f $D/g; diff $D/f $D/g; grep -n b $D/f; grep -rl hi $D/t; grep -c 1 $D/nums
awk '{s+=$1} END {print s; print "x" > "'$D'/awko"; close("'$D'/awko"); while ((getline l < "'$D'/awko")>0) print "got " l; print "more" >> "'$D'/awko"}' $D/nums; cat $D/awko
perl -ne 'print if /299/' $D/nums; perl -e 'open F,">",$ARGV[0]; print F "perl\n"; close F; open F,"<",$ARGV[0]; print <F>; opendir D,$ARGV[1]; print join(" ",sort readdir D),"\n"; print -s $ARGV[0],"\n"; for(glob "$ARGV[1]/*"){s/.*\///;print "$_\n"}' $D/pl $D/t
python3 -c '
import sys,os,mmap,glob,shutil
d=sys.argv[1]
open(d+"/py","w").write("python\n"*1000)
print(len(open(d+"/py").read()), sorted(os.listdir(d+"/t")), sorted(glob.glob(d+"/t/**",recursive=True))==[] )
f=open(d+"/py","r+b"); m=mmap.mmap(f.fileno(),0,access=mmap.ACCESS_READ); print(m[:7],len(m))
for r,ds,fs in os.walk(d+"/t"): print(r[len(d):],ds,fs)
shutil.copytree(d+"/t",d+"/t2",symlinks=True); shutil.copyfile(d+"/py",d+"/py2"); print(os.path.getsize(d+"/py2"))
import tempfile; t=tempfile.NamedTemporaryFile(dir=d); t.write(b"x"); t.flush(); print(os.path.getsize(t.name)); t.close()
' $D
ls -R $D/t; (cd $D; find . | sort; find t -name leaf -printf '%s %f\n'; find t -type l; du -ab t | sort; ls -l t | tail -1 | cut -c1-10)
rm -r $D/t2; mv $D/uq $D/uq2; cp $D/nums $D/n2; cp -r $D/t $D/t3; ln $D/f $D/hard; ln -s f $D/soft; cat $D/soft; stat -c '%h %s' $D/f; basename $(mktemp $D/XXXXXX) | wc -c; dd if=$D/nums of=$D/dd bs=1k count=3 2>/dev/null; wc -c $D/dd; truncate -s 5 $D/dd; cat $D/dd; touch -d @1000 $D/dd; stat -c %Y $D/dd; tar cf $D/t.tar -C $D t; tar tf $D/t.tar; gzip -k $D/nums; zcat $D/nums.gz | md5sum; gunzip -c $D/nums.gz | tail -1; install -m 600 $D/f $D/inst; stat -c %a $D/inst; xargs -a $D/g echo; readlink $D/soft; realpath --relative-to=$D $D/t/l/v; rmdir $D/nosuch; unlink $D/hard; ls $D | wc -l; test -f $D/f && echo is; [ -d $D/t/l ] && echo dir

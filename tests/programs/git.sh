# Program: Git
# Package: git
# Commands: git
# Does: 200 files over 9 commits; branches, merge with conflict, rebase, cherry-pick, stash, clone, fetch, push, worktree, submodule, bisect, gc, repack, fsck, hooks, patches
# Long in uml: yes
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_EDITOR=true
for pair in safe.directory=* gc.auto=0 maintenance.auto=false pack.threads=1 protocol.file.allow=always init.defaultBranch=main advice.detachedHead=false; do
    git config --global "${pair%%=*}" "${pair#*=}"
done
git init -q one
cd one
for commit in $(seq 8); do
    mkdir -p d$commit
    awk -v c=$commit 'BEGIN {for (i = 1; i <= 24; i++) {f = "d" c "/f" i; for (n = c; n <= c * i * 5; n++) print n > f; close(f)}}'
    seq $commit 500 >> grows
    git add -A
    git commit -qm "commit $commit"
done
git tag -a -m v1 v1
git mv grows grown && git rm -q d1/f1 && git commit -qm moved
git checkout -qb side HEAD~3
echo side > side && sed -i 's/^5$/five/' grows && git add -A && git commit -qm side
git merge -q -m merged main
git status --short && git log --oneline --graph | head -4
git checkout -qb conflict main && sed -i 1s/1/left/ d2/f9 && sed -i 1s/2/left/ d2/f9 && git commit -qam left
git checkout -qb other main && sed -i 1s/2/right/ d2/f9 && git commit -qam right
git merge conflict
git status --short
git checkout --theirs d2/f9 && git add d2/f9 && git commit -qm resolved && git log -1 --format=%P | wc -w
git checkout -qb topic main~1 && for i in 1 2 3; do echo $i > topic$i && git add topic$i && git commit -qm "topic $i"; done
git rebase -q main && git log --format=%s -5
GIT_SEQUENCE_EDITOR='sed -i 2s/pick/fixup/' git rebase -q -i main && git log --format=%s -3
git rebase -q --onto side main && git log --format='%h %s' -2
git checkout -qb picked main~4 && git cherry-pick topic && git revert --no-edit HEAD
echo dirty >> d3/f3 && echo untracked > untracked && git stash -q -u && git status --short && git stash list && git stash pop -q && git status --short
git diff | tail -2 && git checkout -q -- d3/f3 && git clean -qfd && git status --short
git format-patch -q -o ../patches main~2..main && git checkout -q -b applied main~2 && git am -q ../patches/* && git diff --quiet main && echo applied
printf '#!/bin/sh\necho hook >> ../hooked\n' > .git/hooks/post-commit && chmod +x .git/hooks/post-commit && git commit -q --allow-empty -m hook && cat ../hooked && rm .git/hooks/post-commit
git bisect start main v1~5 && git bisect run sh -c '! test -d d6' | tail -1 && git bisect reset 2> /dev/null
git blame -s d3/f3 | head -1 && git grep -c five side -- | head -2 && git archive main | tar t | wc -l && git shortlog -s main
cd ..
git clone -q --no-local one two && git clone -q one hardlinked && git clone -q --shared two three && git clone -q --bare one bare.git
git -C three checkout -q -b pushed && echo p > three/p && git -C three add p && git -C three commit -qm p && git -C three remote add bare ../bare.git && git -C three push -q bare pushed && git -C bare.git log -1 --format=%s pushed
git -C two fetch -q ../bare.git pushed:pushed && git -C two merge -q pushed && ls two/p && git -C hardlinked pull -q ../two HEAD && git -C hardlinked log --format=%s -1
git -C two worktree add -q ../four pushed~1 && git -C four rev-parse --abbrev-ref HEAD && git -C two worktree list | wc -l && git -C two worktree remove ../four && ls -d four
git -C three submodule -q add ../bare.git sub && git -C three commit -qm sub && git clone -q --recurse-submodules three five && ls five/sub | wc -l
git -C two gc -q --prune=now --aggressive && git -C two fsck --full --strict && git -C one repack -qad && git -C one fsck --full && git -C bare.git prune && git -C two count-objects | cut -d' ' -f1
git -C one pack-refs --all && git -C one reflog expire --expire=now --all && git -C one gc -q --prune=now && git -C one for-each-ref --format='%(objectname) %(refname)' && git -C one log --all --topo-order --format='%H' | md5sum
git -C two bundle create -q ../b.bundle --all && git bundle verify -q b.bundle && git clone -q b.bundle unbundled && git -C unbundled log --oneline | wc -l
git -C one update-index --refresh && git -C one ls-files -s | md5sum && git -C one ls-files | wc -l && git -C one write-tree
mv one/.git/objects/pack/*.pack hidden.pack && git -C one fsck 2>&1 | head -1 | cut -c1-20
mv hidden.pack "$(ls one/.git/objects/pack/*.idx | sed 's/idx$/pack/')" && git -C one fsck
touch one/.git/index.lock && git -C one add . 2>&1 | head -1 | sed 's#.*/##'
rm one/.git/index.lock
git -C none status
cd / && git status
cd "$OLDPWD" || exit
# What holds times and inode numbers.
find . -name index -path '*.git*' -delete
find . -name '*.bundle' -delete

# Program: Python: files
# Package: python3
# Commands: python3
# Does: os, pathlib, shutil, glob, tempfile, mmap, zipfile, tarfile, fcntl and io on 200 files; os.fwalk, scandir, at-calls by descriptors, locks, xattrs, sendfile
cp "${0%.sh}.py" files.py
python3 -u files.py
echo "status $?"
python3 -c 'open("x", "w").write("unflushed"); import os; os.truncate("x", 3)'
cat x
python3 -u - < files.py > /dev/null 2> again
tail -1 again

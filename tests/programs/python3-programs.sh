# Program: Python: programs
# Package: python3
# Commands: python3
# Does: subprocess and multiprocessing with host files as streams, sqlite3 (WAL), imports and compiled modules below the prefix, venv, threads, signals, asyncio, inherited descriptors
mkdir -p package/sub
echo 'from .sub import deep; name = __name__' > package/__init__.py
echo 'def deep(): return __file__.split("/")[-3:]' > package/sub/__init__.py
echo 'import sys; print("main", sys.argv[1:], sys.path[0] == "" or sys.path[0].endswith("tree"))' > package/__main__.py
python3 -c 'import package; print(package.name, package.sub.deep())'
python3 -m package a b
find package -name '*.pyc' | sort
python3 -m compileall -q package && python3 -O -m package c
python3 -m zipapp package -o app.pyz -p /usr/bin/python3 && ./app.pyz d && rm app.pyz
cp "${0%.sh}.py" programs.py
python3 -u programs.py
echo "status $?"
sort -o work0 work0
sort -o work1 work1
sort -o work2 work2
python3 -m venv --without-pip --symlinks venv && ./venv/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)' && ./venv/bin/python -c 'import package'
printf '#!/usr/bin/env python3\nimport sys; print(sys.argv)\n' > script && chmod +x script && ./script x
python3 -c 'f = open("sigpipe", "w"); print("x" * 100000)' 2> err | head -c 3; cat sigpipe; tail -n 1 err
cat sigpipe
python3 -c 'import os, sys; os.close(0); os.closerange(3, 100); print(os.open("out", os.O_RDONLY), os.read(0, 3))'
rm -rf venv
find . -name '*.pyc' -delete
find . -name __pycache__ -delete

import fcntl, glob, gzip, hashlib, io, mmap, os, pathlib, pickle, shutil, stat, tarfile, tempfile, zipfile


def fails(name, call, *arguments, **more):
    try:
        print(name, call(*arguments, **more))
    except OSError as error:
        print(name, type(error).__name__, error.errno, error.filename)


here = pathlib.Path.cwd()
assert os.getcwd() == str(here) == os.path.realpath('.') and os.environ['PWD'] == str(here)
for d in range(10):
    for f in range(20):
        path = here / f't/{d}/{d % 3}/f{f}'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{d} {f}\n' * f)
print(len(list(here.glob('t/**/f*'))), len(glob.glob('t/*/*/f1?')), sum(p.stat().st_size for p in here.rglob('f*')))
print([(r.split('/')[-1], sorted(d), len(f)) for r, d, f in sorted(os.walk('t'))][:4])
print(sum(len(f) for r, d, f, fd in os.fwalk('t') if [os.stat(name, dir_fd=fd) for name in f] or True))
with os.scandir('t/1/1') as entries:
    print(
        sorted(
            (e.name, e.is_file(), e.is_dir(), e.is_symlink(), e.stat().st_size, e.inode() == os.stat(e.path).st_ino)
            for e in entries
        )[:3]
    )

# At-calls through a directory's descriptor.
d = os.open('t/2', os.O_RDONLY | os.O_DIRECTORY)
fd = os.open('made', os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640, dir_fd=d)
print(
    os.write(fd, b'0123456789'),
    os.pwrite(fd, b'XY', 3),
    os.lseek(fd, -4, os.SEEK_END),
    os.read(fd, 9),
    os.pread(fd, 4, 2),
)
print(os.writev(fd, [b'a', b'', b'bc']), os.preadv(fd, [bytearray(5), bytearray(20)], 1), os.fstat(fd).st_size)
os.ftruncate(fd, 5)
os.fchmod(fd, 0o604)
os.fsync(fd)
os.fdatasync(fd)
os.posix_fallocate(fd, 0, 100)
print(
    os.get_blocking(fd),
    os.get_inheritable(fd),
    os.isatty(fd),
    os.path.samestat(os.fstat(fd), os.stat('t/2/made')),
    os.fpathconf(fd, 'PC_NAME_MAX'),
)
os.link('made', 'hard', src_dir_fd=d, dst_dir_fd=d)
os.symlink('made', 'soft', dir_fd=d)
os.rename('hard', 'renamed', src_dir_fd=d, dst_dir_fd=d)
print(
    os.readlink('soft', dir_fd=d),
    os.stat('soft', dir_fd=d, follow_symlinks=False).st_size,
    os.access('made', os.W_OK, dir_fd=d),
    sorted(os.listdir(d)),
)
os.mkdir('sub', 0o711, dir_fd=d)
os.utime('sub', ns=(10**18, 2 * 10**18), dir_fd=d)
os.chmod('sub', 0o700, dir_fd=d)
os.rmdir('sub', dir_fd=d)
os.unlink('soft', dir_fd=d)
os.fchdir(d)
print(os.path.basename(os.getcwd()), os.path.exists('made'))
os.chdir('..')
print(os.path.relpath(os.getcwd(), here))
os.chdir(here)
fails('excl', os.open, 'made', os.O_CREAT | os.O_EXCL, dir_fd=d)
fails('notdir', os.listdir, 't/2/made')
fails('loop', os.mkdir, 't')
fails('notempty', os.rmdir, 't')
fails('isdir', open, 't')
fails('isdir', os.unlink, 't/1')
fails('noent', os.stat, 'none')
fails('noent', open, 'none/x', 'w')
fails('name', os.stat, 'x' * 300)
fails('chdir', os.chdir, 't/2/made')
fails('link', os.link, 't', 'u')
fails('badf', os.fstat, 999)
fails('rename', os.rename, 't', 't/1/x')
os.close(fd)
os.close(d)
fails('closed', os.fstat, fd)
os.symlink('cycle', 'cycle')
fails('cycle', open, 'cycle')
print(os.path.lexists('cycle'), os.path.exists('cycle'))
os.unlink('cycle')

# dup and inheritance of positions.
a = os.open('t/3/0/f9', os.O_RDONLY)
b = os.dup(a)
os.read(a, 5)
print(os.read(b, 4))
c = os.dup2(b, 60)
os.close(a)
os.close(b)
print(c, os.read(60, 4), fcntl.fcntl(60, fcntl.F_GETFL) & os.O_ACCMODE)
fd = fcntl.fcntl(60, fcntl.F_DUPFD_CLOEXEC, 40)
print(fd >= 40, fcntl.fcntl(fd, fcntl.F_GETFD))
os.close(fd)
os.close(60)

# shutil.
shutil.copytree('t', 'copy', symlinks=True)
shutil.move('copy/1', 'moved')
shutil.copy2('t/4/1/f9', 'two')
shutil.copyfile('two', 'three')
shutil.copymode('t/2/made', 'three')
shutil.copystat('t/2/made', 'two')
print(len(os.listdir('copy')), len(os.listdir('moved/1')), oct(os.stat('three').st_mode))
shutil.rmtree('copy')
fails('copytree', shutil.copytree, 't', 'moved')
fails('rmtree', shutil.rmtree, 'none')
shutil.rmtree('none', ignore_errors=True)
print(
    os.path.basename(shutil.make_archive('archive', 'zip', 't/5')),
    sorted(zipfile.ZipFile('archive.zip').namelist())[:3],
)
shutil.unpack_archive('archive.zip', 'unpacked')
print(len(list(here.glob('unpacked/**/f*'))))
os.unlink('archive.zip')
shutil.make_archive('archive', 'gztar', 't/6')
print(len(tarfile.open('archive.tar.gz').getnames()))
os.unlink('archive.tar.gz')
print(shutil.disk_usage('.').total > 0, shutil.which('files.py', path='.'))

# tempfile.
with tempfile.TemporaryDirectory(dir='.') as name, tempfile.NamedTemporaryFile('w+', dir=name) as f:
    f.write('temporary')
    f.flush()
    print(os.path.exists(f.name), open(f.name).read(), stat.filemode(os.stat(f.name).st_mode))
print(os.path.exists(name))
with tempfile.TemporaryFile(dir='.') as f:
    f.write(b'anonymous' * 1000)
    f.seek(-9, 2)
    print(f.read(), f.tell(), os.fstat(f.fileno()).st_nlink)
with tempfile.SpooledTemporaryFile(max_size=10, dir='.') as f:
    f.write(b'x' * 100)
    f.seek(0)
    print(len(f.read()))

# mmap.
with open('mapped', 'w+b') as f:
    f.write(b'\0' * 20000)
    f.flush()
    with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
        print(len(m), m[:3])
    with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY) as m:
        m[5] = 9
        print(m[5])
    with mmap.mmap(f.fileno(), 0) as m:
        m[10:15] = b'hello'
        m[19999] = 33
        m.flush()
        print(m.find(b'hello'), m[10:15])
    f.seek(10)
    print(f.read(5))
print(hashlib.md5(pathlib.Path('mapped').read_bytes()).hexdigest())

# zipfile, gzip, pickle, text layers.
with zipfile.ZipFile('z.zip', 'w', zipfile.ZIP_DEFLATED) as z:
    for path in sorted(here.glob('t/7/**/f*')):
        z.writestr(zipfile.ZipInfo(str(path.relative_to(here))), path.read_bytes())
with zipfile.ZipFile('z.zip', 'a') as z:
    z.writestr(zipfile.ZipInfo('more'), 'more')
print(zipfile.ZipFile('z.zip').testzip(), len(zipfile.ZipFile('z.zip').namelist()))
zipfile.ZipFile('z.zip').extractall('z')
with gzip.GzipFile('g.gz', 'wb', mtime=0) as f:
    f.write(b'gz' * 9999)
print(len(gzip.open('g.gz').read()))
pickle.dump(list(range(999)), open('p', 'wb'))
print(sum(pickle.load(open('p', 'rb'))))
with open('text', 'w', encoding='utf-16', newline='\r\n', buffering=100) as f:
    print(f.write('zeile\n' * 50), f.tell())
with open('text', encoding='utf-16') as f:
    print(f.readline(), f.seek(0), len(f.readlines()))
with open('text', 'r+b', buffering=0) as f:
    f.seek(4)
    print(f.readinto(bytearray(6)), f.truncate(20), f.seek(0, 2))
with open('append', 'a+') as f, open('append', 'a') as g:
    f.write('one\n')
    f.flush()
    g.write('two\n')
    g.flush()
    f.write('three\n')
    f.seek(0)
    print(f.read())
with io.open('text', 'x+') if not os.path.exists('text') else open('text', 'rb') as f:
    print(f.peek(2)[:2])

# Locks, attributes, copies in the kernel.
with open('lock', 'w') as f, open('lock', 'r+') as g:
    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fails('flock', fcntl.flock, g, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.flock(f, fcntl.LOCK_UN)
    fcntl.flock(g, fcntl.LOCK_SH | fcntl.LOCK_NB)
    fcntl.lockf(f, fcntl.LOCK_EX, 10, 5)
    if (child := os.fork()) == 0:
        fails('lockf', fcntl.lockf, g, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 7)
        fails('lockf', fcntl.lockf, g, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        import sys

        sys.stdout.flush()
        os._exit(3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.setxattr('lock', 'user.one', b'1')
os.setxattr('lock', 'user.two', b'22')
os.removexattr('lock', 'user.one')
print(os.listxattr('lock'), os.getxattr('lock', 'user.two'))
fails('xattr', os.getxattr, 'lock', 'user.none')
with open('t/8/2/f19', 'rb') as f, open('sent', 'wb') as g:
    print(os.sendfile(g.fileno(), f.fileno(), 3, 20))
    print(os.copy_file_range(f.fileno(), g.fileno(), 30, 0, 20))
r, w = os.pipe()
with open('t/8/2/f19', 'rb') as f:
    print(os.splice(f.fileno(), w, 10, offset_src=4), os.read(r, 99), os.sendfile(w, f.fileno(), 0, 5), os.read(r, 99))
os.truncate('sent', 10)
os.utime('sent', (1000, 2000))
os.chmod('sent', 0o4711)
os.chown('sent', 1, 1)
s = os.stat('sent')
print(s.st_atime, s.st_mtime, oct(s.st_mode), s.st_uid, s.st_nlink)
os.mkfifo('fifo', 0o620)
os.mknod('node', 0o600 | stat.S_IFREG)
v = os.statvfs('.')
print(
    v.f_namemax,
    v.f_blocks > 0,
    os.pathconf('.', 'PC_PATH_MAX'),
    os.path.ismount('.'),
    os.path.commonpath([here, here / 't']) == str(here),
)
os.umask(0o077)
pathlib.Path('masked').touch()
print(oct(os.stat('masked').st_mode))
os.replace('masked', 'two')
pathlib.Path('two').rename('one')
pathlib.Path('dir').mkdir()
print(pathlib.Path('dir/../one').resolve().name, pathlib.Path('one').owner())

import asyncio, multiprocessing, os, signal, socket, sqlite3, subprocess, sys, threading


def work(n):
    with open(f'work{n % 3}', 'a') as f:
        f.write(f'{n:03}\n')
    return n * n


if __name__ == '__main__':
    run = subprocess.run
    with open('out', 'w') as out, open('err', 'w') as err:
        print(run(['sh', '-c', 'echo out; echo err >&2; exit 3'], stdout=out, stderr=err).returncode)
        out.write('after\n')
    print(
        open('out').read(), open('err').read(), run(['cat'], stdin=open('out'), capture_output=True, text=True).stdout
    )
    print(run('cat out | tr a-z A-Z > upper; cat upper', shell=True, capture_output=True, text=True, cwd='.').stdout)
    print(
        run(['pwd'], cwd='package/sub', capture_output=True, text=True).stdout.split('/')[-2:],
        run(['cat', 'out'], env={}, capture_output=True).stdout,
        run(['cat', '../out'], env={'A': 'b'}, cwd='package', close_fds=False, capture_output=True).stdout,
    )
    f = open('inherited', 'w+')
    f.write('start\n')
    f.flush()
    print(
        run(
            ['sh', '-c', f'echo child >&{f.fileno()}; cat <&{f.fileno()}'],
            pass_fds=[f.fileno()],
            text=True,
            capture_output=True,
        )
    )
    f.seek(0)
    print(f.read())
    print(
        run(['sh', '-c', f'echo x >&{f.fileno()}'], capture_output=True).returncode != 0,
        run(['./none'], capture_output=True) if os.path.exists('none') else 'none',
        os.popen('cat out; exit 2').read(),
    )
    try:
        subprocess.check_output(['cat', 'none'], stderr=subprocess.STDOUT)
    except subprocess.CalledProcessError as error:
        print(error.returncode, error.output)
    try:
        run(['./package'])
    except OSError as error:
        print(error)
    p = subprocess.Popen(['sh', '-c', 'while read l; do echo "[$l]" >> log; done'], stdin=subprocess.PIPE, text=True)
    p.communicate('a\nb\n')
    print(open('log').read(), p.returncode)
    pid = os.posix_spawn(
        '/bin/sh',
        ['sh', '-c', 'cat; echo spawned'],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, 'out', os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, 'spawned', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
        ],
    )
    print(os.waitpid(pid, 0)[1], open('spawned').read())
    if (pid := os.fork()) == 0:
        os.dup2(os.open('execed', os.O_WRONLY | os.O_CREAT), 1)
        os.execvp('cat', ['cat', 'out'])
    print(os.waitpid(pid, 0)[1], open('execed').read())
    for method in ['fork', 'spawn', 'forkserver']:
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, sum(pool.map(work, range(20))))
    print([len(open(f'work{n}').readlines()) for n in range(3)])
    threads = [
        threading.Thread(target=lambda n=n: [open(f'thread{n}', 'a').write(f'{i}\n') for i in range(50)])
        for n in range(8)
    ]
    [t.start() for t in threads]
    [t.join() for t in threads]
    print(sum(len(open(f'thread{n}').readlines()) for n in range(8)))
    signal.signal(signal.SIGALRM, lambda *_: open('alarm', 'a').write('rang\n'))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    for i in range(200):
        open('interrupted', 'a').write('x' * 100)
    import time

    time.sleep(0.05)
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(os.path.getsize('interrupted'), os.path.getsize('alarm') > 0)
    os.unlink('alarm')
    left, right = socket.socketpair(socket.AF_UNIX)
    fd = os.open('out', os.O_RDONLY)
    socket.send_fds(left, [b'x'], [fd])
    os.close(fd)
    _, fds, _, _ = socket.recv_fds(right, 1, 1)
    print(os.read(fds[0], 4))
    os.close(fds[0])
    server = socket.socket(socket.AF_UNIX)
    os.chdir('package')
    server.bind('../socket')
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect('../socket')
    peer, _ = server.accept()
    client.send(b'hello')
    print(peer.recv(9))
    os.chdir('..')

    async def main():
        p = await asyncio.create_subprocess_exec('cat', stdin=open('out'), stdout=asyncio.subprocess.PIPE)
        print((await p.communicate())[0])
        await asyncio.gather(*[asyncio.to_thread(lambda n=n: open(f'async{n}', 'w').write(str(n))) for n in range(20)])

    asyncio.run(main())

    db = sqlite3.connect('db')
    print(db.execute('PRAGMA journal_mode=wal').fetchone())
    db.execute('CREATE TABLE t(n INTEGER PRIMARY KEY, s TEXT)')
    with db:
        db.executemany('INSERT INTO t VALUES(?, ?)', [(n, str(n) * 9) for n in range(5000)])
    other = sqlite3.connect('db')
    print(other.execute('SELECT count(*), sum(n) FROM t').fetchone(), sorted(os.listdir('.')).count('db-wal'))
    other.execute('BEGIN IMMEDIATE')
    other.execute('DELETE FROM t WHERE n % 2')
    try:
        sqlite3.connect('db', timeout=0.1).execute('INSERT INTO t VALUES(-1, "x")')
    except sqlite3.OperationalError as error:
        print(error)
    other.commit()
    print(db.execute('SELECT count(*) FROM t').fetchone(), db.execute('PRAGMA integrity_check').fetchone())
    db.execute('VACUUM')
    db.backup(sqlite3.connect('backup'))
    db.close()
    other.close()
    print(sqlite3.connect('backup').execute('SELECT max(s) FROM t').fetchone(), os.path.exists('db-wal'))

const fs = require('fs'),
    path = require('path'),
    cp = require('child_process'),
    zlib = require('zlib'),
    crypto = require('crypto'),
    {pipeline} = require('stream/promises'),
    {Worker} = require('worker_threads');
const fails = (name, call) => {
    try {
        console.log(name, call());
    } catch (error) {
        console.log(name, error.code, error.syscall);
    }
};
console.log(
    process.cwd() === fs.realpathSync('.'),
    path.basename(__dirname),
    require('./module').name,
    require('package').name,
);
for (let d = 0; d < 5; d++) {
    fs.mkdirSync(`t/${d}/x`, {recursive: true});
    for (let f = 0; f < 20; f++) fs.writeFileSync(`t/${d}/x/f${f}`, `${d} ${f}\n`.repeat(f));
}
console.log(
    fs.readdirSync('t/1', {withFileTypes: true}).map(e => [e.name, e.isDirectory()]),
    fs.readdirSync('t/1/x').length,
);
const fd = fs.openSync('rw', 'wx+', 0o640);
console.log(
    fs.writeSync(fd, 'hello world'),
    fs.writeSync(fd, Buffer.from('XY'), 0, 2, 3),
    fs.readSync(fd, Buffer.alloc(5), 0, 5, 1),
    fs.writevSync(fd, [Buffer.from('a'), Buffer.from('b')]),
);
fs.ftruncateSync(fd, 8);
fs.fsyncSync(fd);
fs.fchmodSync(fd, 0o604);
fs.futimesSync(fd, 1000, 2000.5);
console.log(fs.fstatSync(fd).size, fs.fstatSync(fd).mtimeMs, fs.fstatSync(fd, {bigint: true}).mtimeNs);
fs.closeSync(fd);
fs.appendFileSync('rw', 'more');
console.log(fs.readFileSync('rw', 'latin1'));
fs.copyFileSync('rw', 'copy', fs.constants.COPYFILE_EXCL);
fs.renameSync('copy', 't/renamed');
fs.linkSync('rw', 'hard');
fs.symlinkSync('rw', 'soft');
fs.symlinkSync(path.resolve('t'), 'absolute');
console.log(
    fs.readlinkSync('soft'),
    fs.lstatSync('soft').isSymbolicLink(),
    fs.statSync('hard').nlink,
    fs.statSync('absolute/1').isDirectory(),
    fs.existsSync('none'),
);
fails('excl', () => fs.openSync('rw', 'wx'));
fails('noent', () => fs.readFileSync('none'));
fails('isdir', () => fs.readFileSync('t'));
fails('notempty', () => fs.rmdirSync('t'));
fails('notdir', () => fs.readdirSync('rw'));
fails('access', () => fs.accessSync('rw', fs.constants.X_OK | fs.constants.W_OK));
fails('copy', () => fs.copyFileSync('rw', 'hard', fs.constants.COPYFILE_EXCL));
fails('loop', () => fs.renameSync('t', 't/1/x/y'));
fails('badf', () => fs.fstatSync(fd));
console.log(
    path.basename(fs.mkdtempSync('dir-')).length,
    (d => [d.readSync() !== null, d.closeSync()])(fs.opendirSync('t/2/x')),
);
fs.cpSync('t', 'copied', {recursive: true, preserveTimestamps: true});
fs.rmSync('copied/3', {recursive: true});
fs.utimesSync('t/renamed', 3000, 4000);
fs.lutimesSync('soft', 5, 6);
fs.chownSync('hard', 1, 1);
fs.rmSync('none', {force: true});
fs.readdirSync('.')
    .filter(n => n.startsWith('dir-'))
    .forEach(n => fs.rmdirSync(n));
(async () => {
    const p = fs.promises;
    console.log(
        (await Promise.all(Array.from({length: 20}, (_, i) => p.readFile(`t/4/x/f${i}`)))).reduce(
            (n, b) => n + b.length,
            0,
        ),
    );
    await Promise.all(
        Array.from({length: 60}, async (_, i) => {
            await p.writeFile(`p${i}`, String(i));
            await p.rename(`p${i}`, `q${i}`);
            await p.appendFile(`q${i}`, '!');
        }),
    );
    console.log((await p.readdir('.')).filter(n => /^q/.test(n)).length, (await p.stat('q9')).size);
    for await (const entry of await p.opendir('t/0')) console.log(entry.name);
    const h = await p.open('handle', 'w+');
    await h.write('one\ntwo\nthree\n');
    await h.close();
    for await (const line of (await p.open('handle')).readLines()) console.log(line);
    fs.writeFileSync('big', crypto.createHash('sha1').update('x').digest('hex').repeat(50000));
    await pipeline(fs.createReadStream('big'), zlib.createGzip(), fs.createWriteStream('big.gz'));
    await pipeline(fs.createReadStream('big.gz'), zlib.createGunzip(), fs.createWriteStream('big2'));
    console.log(fs.readFileSync('big').equals(fs.readFileSync('big2')));
    await pipeline(
        fs.createReadStream('big', {start: 100, end: 199}),
        fs.createWriteStream('big2', {flags: 'r+', start: 5}),
    );
    console.log(fs.statSync('big2').size);
    const digest = crypto.createHash('md5');
    await pipeline(fs.createReadStream('big2', {highWaterMark: 777}), digest);
    console.log(digest.digest('hex'));
    const out = fs.openSync('out', 'w');
    console.log(
        cp.spawnSync('sh', ['-c', 'echo out; echo err >&2; pwd | sed "s#.*/##"'], {
            stdio: ['ignore', out, out],
            cwd: 't/1',
        }).status,
        fs.readFileSync('out', 'utf8'),
        cp.execSync('cat rw | wc -c', {encoding: 'utf8'}),
        cp.execFileSync('cat', ['q7'], {env: {}}).toString(),
        cp.spawnSync('./none').error.code,
    );
    await new Promise(done =>
        cp
            .fork('./child.js', ['x'])
            .on('message', m => console.log('message', m))
            .on('exit', done),
    );
    await new Promise(done =>
        cp
            .spawn('cat', {stdio: [fs.openSync('handle', 'r'), 'pipe', 'inherit']})
            .stdout.on('data', d => console.log(String(d)))
            .on('close', done),
    );
    await new Promise(done =>
        cp.exec('exit 3', error => {
            console.log(error.code);
            done();
        }),
    );
    await new Promise(done =>
        new Worker(
            "const {parentPort} = require('worker_threads'), fs = require('fs'); for (let i = 0; i < 50; i++) fs.writeFileSync('w' + i, 'w'); parentPort.postMessage(fs.readFileSync('q8', 'utf8'))",
            {eval: true},
        )
            .on('message', m => console.log('worker', m))
            .on('exit', done),
    );
    console.log((await import('./esm.mjs')).default);
    process.chdir('t/1');
    console.log(fs.existsSync('x/f1'), path.basename(process.cwd()));
    fs.statfsSync && console.log(fs.statfsSync('.').blocks > 0);
})();

//! OpenSSH as a rival: a server of our own on a port of the loopback, and a master connection that its clients share.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where Debian has the server. It executes itself anew and so wants its whole path.
const SERVER: &str = "/usr/sbin/sshd";
/// What a Debian server's first start makes: an empty directory that it confines itself to.
const CONFINED: &str = "/run/sshd";
/// How long server and master may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server and a connection to it; both end when this is dropped.
#[derive(Debug)]
pub struct Ssh {
    directory: PathBuf,
    port: u16,
    children: Vec<Child>,
}

impl Ssh {
    /// Starts both, with keys of their own and Debian's settings otherwise.
    pub fn start() -> Result<Ssh, String> {
        let failed = |error: std::io::Error| format!("no place for ssh's keys: {error}");
        let name = format!("hostcall-bench-ssh-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(failed)?;
        let mut ssh = Ssh {
            port: free_port().map_err(failed)?,
            directory,
            children: Vec::new(),
        };
        ssh.make_keys()?;
        let settings = ssh.settings();
        std::fs::write(ssh.file("settings"), settings).map_err(failed)?;
        std::fs::create_dir_all(CONFINED).map_err(failed)?;
        let mut server = Command::new(SERVER);
        server.args(["-D", "-e", "-f"]).arg(ssh.file("settings"));
        ssh.begin(server)?;
        let port = ssh.port;
        await_that(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
        let mut master = Command::new("ssh");
        master
            .args(&ssh.client()[1..])
            .args(["-M", "-N", "localhost"]);
        ssh.begin(master)?;
        let control = ssh.file("control");
        await_that(|| control.exists())?;
        Ok(ssh)
    }

    /// A command that runs `true` by the master's connection.
    pub fn words(&self) -> Vec<String> {
        let mut words = self.client();
        words.extend(["localhost", "true"].map(str::to_owned));
        words
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn make_keys(&self) -> Result<(), String> {
        for name in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(self.file(name))
                .stdin(Stdio::null())
                .status();
            if !made.is_ok_and(|status| status.success()) {
                return Err("ssh-keygen makes no key".to_owned());
            }
        }
        Ok(())
    }

    /// The home directory is an empty one: bash(1) reads `~/.bashrc` when a server of ssh starts it, and what that does is the
    /// user's affair, not ssh's.
    fn settings(&self) -> String {
        let file = |name: &str| self.file(name).display().to_string();
        format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             PermitRootLogin yes\nUsePAM yes\nPrintMotd no\nLogLevel FATAL\nSetEnv HOME={}\n",
            self.port,
            file("host"),
            file("user.pub"),
            file("home")
        )
    }

    fn client(&self) -> Vec<String> {
        let file = |option: &str, name: &str| format!("{option}={}", self.file(name).display());
        let options = [
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=no".to_owned(),
            "LogLevel=ERROR".to_owned(),
            format!("Port={}", self.port),
            file("UserKnownHostsFile", "known"),
            file("IdentityFile", "user"),
            file("ControlPath", "control"),
        ];
        let words = ["ssh", "-F", "none"].map(str::to_owned);
        let options = options
            .into_iter()
            .flat_map(|option| ["-o".to_owned(), option]);
        words.into_iter().chain(options).collect()
    }

    fn begin(&mut self, mut command: Command) -> Result<(), String> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
        self.children.push(child);
        Ok(())
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // The master before its server, which would complain.
        for mut child in self.children.drain(..).rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A port that was nobody's a moment ago.
fn free_port() -> std::io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn await_that(done: impl Fn() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > PATIENCE {
            return Err("ssh does not start".to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

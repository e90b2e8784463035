//! Changes that a program under test wants made by the host: it writes a shell's command line to a file `ask` in its
//! directory, which is gone when that is done.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the host looks.
const OFTEN: Duration = Duration::from_millis(2);

/// Does what is asked for in a directory, as long as it lives.
#[derive(Debug)]
pub struct Asked {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Asked {
    /// For programs that work in a directory of the host.
    pub fn of(directory: &Path) -> Asked {
        let ended = Arc::new(AtomicBool::new(false));
        let (seen, directory) = (ended.clone(), directory.to_owned());
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                answer(&directory);
                std::thread::sleep(OFTEN);
            }
        });
        Asked {
            ended,
            thread: Some(thread),
        }
    }
}

fn answer(directory: &PathBuf) {
    let ask = directory.join("ask");
    let Ok(command) = std::fs::read_to_string(&ask) else {
        return;
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(directory);
    // What it leaves behind is to hold nothing of the test open.
    let quiet = shell.stdin(Stdio::null()).stdout(Stdio::null());
    let done = quiet.stderr(Stdio::null()).status();
    if !done.is_ok_and(|status| status.success()) {
        eprintln!("the host fails to do: {command}");
    }
    let _ = std::fs::remove_file(&ask);
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

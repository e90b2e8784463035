//! What the host's policy says to a guest's programs.

use hostcall::ops::Calls;
use hostcall::types::Errno;
use hostcall::wire::Sink;
use serde::Deserialize;

/// As the host tells it. What is missing is taken for its emptiest.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Policy {
    /// Whether any program may be started.
    pub allowed: bool,
    /// The host user as whom programs run.
    pub user: String,
    /// That user's home directory.
    pub home: String,
    /// The host's name.
    pub host: String,
    /// Names and patterns of variables that cross.
    pub pass: Vec<String>,
    /// Names of variables that the host sets.
    pub environment: Vec<String>,
}

/// Longest policy, bytes.
const MOST: usize = 64 << 10;
/// Room that is enough for nearly all. Clearing more takes a page fault for each page.
const USUAL: usize = 4 << 10;

impl Policy {
    /// Asks the host.
    ///
    /// # Errors
    /// The call's; `EPROTO` if the answer is not understood.
    pub fn ask(host: &impl Calls) -> Result<Policy, Errno> {
        let mut text = vec![0; USUAL];
        let mut asked = host.exec_policy(Sink::new(&mut text));
        if matches!(asked, Err(Errno(libc::ERANGE))) {
            text = vec![0; MOST];
            asked = host.exec_policy(Sink::new(&mut text));
        }
        let filled = asked?.filled.0;
        serde_json::from_slice(&text[..filled]).map_err(|_| Errno(libc::EPROTO))
    }
}

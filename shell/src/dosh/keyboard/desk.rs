//! What completion and colours share: the shell's names, the programs, the host, and the habits of the past.

use super::habits::Habits;
use super::host::{Host, There};
use super::programs::Programs;
use super::scene::Scene;
use crate::dosh::plan::Place;
use crate::dosh::shell::Shell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads the lines of the past, oldest first.
pub type Past = Box<dyn FnMut() -> Vec<String> + Send>;

#[derive(Default)]
pub struct Desk {
    pub scene: Scene,
    pub programs: Programs,
    pub host: Host,
    pub habits: Habits,
    /// The list of what the word could become is known, and empty.
    pub list_is_empty: bool,
    /// Until somebody asks for habits.
    past: Option<Past>,
}

impl Desk {
    /// Whether a command can be run; nothing if that is not known.
    pub fn knows(
        &mut self,
        place: Place,
        name: &[u8],
        patience: std::time::Duration,
    ) -> Option<bool> {
        if place == Place::Host {
            return self.host.runs(name, patience);
        }
        let path = self.scene.text(b"PATH");
        let known = self.scene.is_own(name)
            || self.scene.aliases.contains_key(name)
            || self.programs.runs(path, name);
        Some(known)
    }

    /// The options that the past has used.
    pub fn habits(&mut self) -> &Habits {
        if let Some(mut past) = self.past.take() {
            for line in past() {
                self.scene
                    .with_mode(|mode| self.habits.learn(line.as_bytes(), mode));
            }
        }
        &self.habits
    }
}

/// A desk that both hands reach.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<Desk>>);

impl Shared {
    pub fn new(past: Past) -> Shared {
        Shared(Arc::new(Mutex::new(Desk {
            past: Some(past),
            ..Desk::default()
        })))
    }

    pub fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before a line is read.
    pub fn begin_line(&self, shell: &Shell) {
        let mut desk = self.lock();
        desk.scene = Scene::of(shell);
        desk.list_is_empty = false;
        let of = |name: &[u8]| desk.scene.variables.get(name).cloned();
        let there = There {
            session: of(b"HOSTCALL_SESSION").filter(|name| !name.is_empty()),
            prefix: of(b"HOSTCALL_PREFIX"),
            named: of(b"HOSTCALL_ATTACH").is_some(),
        };
        desk.host.begin_line(there);
    }

    /// A line has been entered.
    pub fn learn(&self, line: &str) {
        let desk = &mut *self.lock();
        desk.scene
            .with_mode(|mode| desk.habits.learn(line.as_bytes(), mode));
    }
}

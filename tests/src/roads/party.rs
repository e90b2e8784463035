//! The processes of all roads, a run of steps by them, and the search for the shortest run that fails.

use super::step::{Road, Step};
use crate::daemon::{program, PATIENCE};
use crate::guest::Guest;
use crate::mounted::Mounted;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long it may take until a change on the host is seen where that is promised for later. Only a fault reaches it.
const LATER: Duration = Duration::from_secs(10);
/// How long the mount may take a change on the host for its own, and some more.
const OWN: Duration = Duration::from_millis(80);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);
/// Most runs in search of a shorter one.
const RUNS: usize = 400;

/// A process on each road, and one for the reference.
#[derive(Debug)]
pub struct Party {
    roads: [Guest; 3],
    reference: Guest,
    mounted: Mounted,
    cache: &'static str,
    runs: usize,
    /// When the mount changed something last.
    last: Instant,
}

/// What went wrong, after how many steps.
#[derive(Debug)]
struct Failure {
    steps: usize,
    text: String,
}

fn ask(guest: &mut Guest, line: &str) -> String {
    guest.tell(line);
    guest
        .hear(PATIENCE)
        .unwrap_or_else(|| "its process is dead".to_owned())
}

impl Party {
    /// A mount in a cache mode, entered by this thread, and processes on all roads to it.
    pub fn new(cache: &'static str) -> Party {
        // Links mean the same on all roads.
        let mounted = Mounted::start(cache);
        let (roads, reference) = Party::start(&mounted, cache);
        Party {
            roads,
            reference,
            mounted,
            cache,
            runs: 0,
            last: Instant::now(),
        }
    }

    fn start(mounted: &Mounted, cache: &str) -> ([Guest; 3], Guest) {
        let worker = |syncs: bool| {
            let mut command = Command::new(program("road_worker"));
            command.args(syncs.then_some("syncs")).current_dir("/");
            command
        };
        // What writes by the guest kernel in this mode is promised to be on the host then.
        let late = cache == "always";
        let mut shim = worker(late);
        shim.env("LD_PRELOAD", program("libhostcall_preload.so"))
            .env("HOSTCALL_ATTACH", mounted.daemon.socket())
            .env("HOSTCALL_PREFIX", mounted.mountpoint());
        let roads = [
            Guest::run(shim),
            Guest::run(worker(late)),
            Guest::run(worker(false)),
        ];
        (roads, Guest::run(worker(false)))
    }

    /// Where a road finds the files of a run.
    fn base(&self, road: Road) -> PathBuf {
        let name = format!("run-{}", self.runs);
        match road {
            Road::Host => self.mounted.host(&name),
            Road::Shim | Road::Mount => self.mounted.path(&name),
        }
    }

    /// Plays the steps in a fresh directory; the first failure.
    fn play(&mut self, steps: &[Step]) -> Option<Failure> {
        self.runs += 1;
        let reference = self
            .mounted
            .daemon
            .directory
            .join(format!("reference-{}", self.runs));
        fs::create_dir(&reference).expect("a directory");
        fs::create_dir(self.base(Road::Host)).expect("a directory");
        for road in Road::ALL {
            let line = format!("begin {}", self.base(road).display());
            ask(&mut self.roads[road as usize], &line);
        }
        let line = format!("begin {}", reference.display());
        ask(&mut self.reference, &line);
        // Slots that are open on the mount, by this road or because the shim had to map them.
        let mut open = BTreeSet::new();
        let failure = steps.iter().enumerate().find_map(|(number, step)| {
            let text = self.take(step, &mut open).err()?;
            Some(Failure {
                steps: number + 1,
                text,
            })
        });
        match &failure {
            // Whoever is confused must not confuse the next run.
            Some(_) => {
                (self.roads, self.reference) = Party::start(&self.mounted, self.cache);
            }
            None => {
                for guest in self.roads.iter_mut().chain([&mut self.reference]) {
                    ask(guest, "begin /");
                }
                let _ = fs::remove_dir_all(self.base(Road::Host));
                let _ = fs::remove_dir_all(&reference);
            }
        }
        failure
    }

    fn take(&mut self, step: &Step, open: &mut BTreeSet<String>) -> Result<(), String> {
        let Step { road, act, look } = step;
        let slot = act.split(' ').nth(1).unwrap_or_default();
        if self.cache == "always" && act.starts_with("link") {
            // The guest kernel believes its own length of a file until it has let go of all names.
            return Ok(());
        }
        if self.cache == "always" && *road != Road::Mount {
            // Of a file that stays open on the mount the guest kernel believes no length but its own.
            if !open.is_empty() && !act.starts_with("close") {
                return Ok(());
            }
            // Right after a change of the mount's own, one of the host is taken for that.
            if *road == Road::Host {
                std::thread::sleep(OWN.saturating_sub(self.last.elapsed()));
            }
        }
        if *road == Road::Mount {
            self.last = Instant::now();
        }
        let expected = ask(&mut self.reference, act);
        let found = ask(&mut self.roads[*road as usize], act);
        if expected != found {
            return Err(format!("{} says {found}, natively {expected}", road.name()));
        }
        match act.split(' ').next() {
            Some("open") if expected == "done" => {
                open.remove(slot);
                if *road == Road::Mount {
                    open.insert(slot.to_owned());
                }
            }
            // What the shim has to map it opens on the mount.
            Some("map") if expected == "done" && *road == Road::Shim => {
                open.insert(slot.to_owned());
            }
            Some("close") => {
                open.remove(slot);
            }
            _ => {}
        }
        if *road == Road::Host && self.cache != "none" {
            // What is seen later is waited for at once, so that no later step has to wait for this one.
            self.compare("tree", Road::Mount, LATER)?;
            self.compare("names", Road::Mount, LATER)?;
            for slot in open.clone() {
                let owner = if slot.starts_with("shim") {
                    Road::Shim
                } else {
                    Road::Mount
                };
                self.compare(&format!("scat {slot}"), owner, LATER)?;
                self.compare(&format!("smap {slot}"), owner, LATER)?;
            }
        }
        for seer in Road::ALL {
            let later = *road == Road::Host && seer == Road::Mount && self.cache != "none";
            let patience = if later { LATER } else { Duration::ZERO };
            self.compare(look, seer, patience)?;
        }
        Ok(())
    }

    /// What a look shows on a road must be what it shows in the reference, at the latest after `patience`.
    fn compare(&mut self, look: &str, seer: Road, patience: Duration) -> Result<(), String> {
        let mut words = look.split(' ');
        let (kind, of) = (words.next(), words.next().unwrap_or_default());
        let expected = match kind {
            // Only the owner of a descriptor can look through it.
            Some("scat" | "smap") if !of.starts_with(seer.name()) => return Ok(()),
            // The guest kernel has times of its own of what it writes back.
            Some("times") if self.cache == "always" => return Ok(()),
            Some("times") => ask(&mut self.roads[Road::Host as usize], look),
            _ => ask(&mut self.reference, look),
        };
        let patience = match kind {
            // No directory tells of a file without a name.
            Some("scat" | "smap") if self.is_nameless(of) && self.cache == "auto" => LATER,
            _ => patience,
        };
        let start = Instant::now();
        loop {
            let found = ask(&mut self.roads[seer as usize], look);
            if found == expected {
                return Ok(());
            }
            if start.elapsed() >= patience {
                let name = seer.name();
                return Err(format!(
                    "{look} on {name} shows\n    {found}\n  and should show\n    {expected}"
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether what a slot holds has lost its last name.
    fn is_nameless(&mut self, slot: &str) -> bool {
        let about = ask(&mut self.reference, &format!("scat {slot}"));
        about.split(' ').nth(1) == Some("0")
    }

    /// Plays the steps.
    ///
    /// # Panics
    /// Something shows otherwise than in the reference: with the shortest list of steps found that has it so.
    pub fn agree(&mut self, what: &str, steps: Vec<Step>) {
        let Some(mut failure) = self.play(&steps) else {
            return;
        };
        let mut steps = steps;
        steps.truncate(failure.steps);
        let mut runs = 0;
        let mut part = steps.len().div_ceil(2);
        while part > 0 && runs < RUNS {
            let mut from = 0;
            while from < steps.len() && runs < RUNS {
                let mut fewer = steps.clone();
                fewer.drain(from..(from + part).min(steps.len()));
                runs += 1;
                match self.play(&fewer) {
                    Some(shorter) => {
                        fewer.truncate(shorter.steps);
                        (steps, failure) = (fewer, shorter);
                    }
                    None => from += part,
                }
            }
            part /= 2;
        }
        let mut text = String::new();
        for step in &steps {
            let _ = writeln!(text, "  {step}");
        }
        panic!(
            "{what}, cache={}: {} steps fail:\n{text}  {}",
            self.cache,
            steps.len(),
            failure.text
        );
    }
}

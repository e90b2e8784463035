//! The answer for one program.

use super::elf::{self, Image, Kind};
use super::libraries::{self, Library};
use super::program;
use super::usage::{Use, Uses, Way};
use hostcall::symbols::FAMILIES;
use serde::Serialize;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// The answer in a word; the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All its files are served, by host calls or through the mount.
    Covered,
    /// Some are not.
    NotCovered,
    /// That cannot be told.
    Untold,
}

impl Verdict {
    /// The exit status.
    pub fn status(self) -> u8 {
        self as u8
    }
}

/// What is known of a program.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// As it was named.
    pub program: String,
    /// The answer.
    pub verdict: Verdict,
    #[serde(skip)]
    failed: bool,
    /// The answer, and what else is to be known, for people.
    pub notes: Vec<String>,
    /// The interpreters of a script.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interpreters: Vec<String>,
    /// File functions that are used.
    pub symbols: Vec<Use>,
    /// Libraries that were looked at, with the files they were found in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<Found>,
}

/// A needed library.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    name: String,
    file: Option<String>,
}

const BY_MOUNT: &str = "its host files are those of the mount";

impl Answer {
    fn new(program: &OsStr) -> Answer {
        Answer {
            program: program.to_string_lossy().into_owned(),
            verdict: Verdict::Covered,
            failed: false,
            notes: Vec::new(),
            interpreters: Vec::new(),
            symbols: Vec::new(),
            libraries: Vec::new(),
        }
    }

    /// Why nothing at all is known of the program.
    pub fn failure(&self) -> Option<&str> {
        self.notes
            .first()
            .filter(|_| self.failed)
            .map(String::as_str)
    }

    /// For a program that cannot be looked at.
    pub fn failed(program: &OsStr, error: String) -> Answer {
        let mut answer = Answer::new(program);
        answer.note(Verdict::Untold, error);
        answer.failed = true;
        answer
    }

    /// Looks at a program, and at its libraries if that is wanted.
    pub fn of(path: &Path, with_libraries: bool) -> Answer {
        let mut answer = Answer::new(path.as_os_str());
        let executed = match program::executed(path) {
            Ok(executed) => executed,
            Err(error) => {
                // The message says which file; often that is the program's own name.
                let own = format!("{}: ", answer.program);
                let error = error.strip_prefix(&own).unwrap_or(&error).to_owned();
                return Answer::failed(path.as_os_str(), error);
            }
        };
        answer.interpreters = executed
            .by
            .iter()
            .map(|by| by.display().to_string())
            .collect();
        // A relative `$ORIGIN` would depend on where this command was started.
        let file = executed.file.canonicalize().unwrap_or(executed.file);
        let origin = file.parent().unwrap_or(Path::new("/"));
        let image = match elf::read(&executed.data, origin) {
            Ok(Kind::Image(image)) => image,
            Ok(Kind::Foreign(what)) => {
                answer.note(
                    Verdict::Covered,
                    format!("{what}: the library cannot be loaded, {BY_MOUNT}"),
                );
                return answer;
            }
            Ok(Kind::Other) => {
                answer.note(
                    Verdict::Untold,
                    "neither a program nor a script with an interpreter".to_owned(),
                );
                return answer;
            }
            Err(error) => {
                answer.note(Verdict::Untold, error);
                return answer;
            }
        };
        if let Some(how) = executed.privileged {
            answer.note(
                Verdict::Covered,
                format!(
                    "runs with rights of its own ({how}): the library is not loaded, {BY_MOUNT}"
                ),
            );
            return answer;
        }
        if answer.loads(&image) {
            answer.judge(image, &file, with_libraries);
        }
        answer
    }

    fn note(&mut self, verdict: Verdict, note: String) {
        self.verdict = self.verdict.max(verdict);
        self.notes.push(note);
    }

    /// Whether the dynamic linker of a program would load the preload library.
    fn loads(&mut self, image: &Image) -> bool {
        let Some(loader) = &image.loader else {
            let library = image.soname.is_some() && !image.needed.is_empty();
            if !library {
                self.note(
                    Verdict::Covered,
                    format!("static: no dynamic linker loads the library, {BY_MOUNT}"),
                );
            }
            return library;
        };
        let name = loader.rsplit('/').next().unwrap_or_default();
        if name.starts_with("ld-musl") {
            self.note(
                Verdict::Covered,
                format!("linked with musl: started without the library, {BY_MOUNT}"),
            );
        } else if !name.starts_with("ld-linux") {
            self.note(
                Verdict::Untold,
                format!("its dynamic linker is {loader}, not glibc's"),
            );
        } else if !Path::new(loader).exists() {
            self.note(
                Verdict::Untold,
                format!("its dynamic linker {loader} is missing"),
            );
        } else if image.gos {
            self.note(
                Verdict::Covered,
                format!(
                    "made by Go's compiler: its runtime enters the kernel by itself, {BY_MOUNT}"
                ),
            );
        } else {
            return true;
        }
        false
    }

    fn judge(&mut self, image: Image, file: &Path, with_libraries: bool) {
        if image.stripped {
            self.note(
                Verdict::Untold,
                "its table of imports cannot be read".to_owned(),
            );
        }
        let own = file.file_name().unwrap_or_default().to_string_lossy();
        let mut uses = Uses::default();
        uses.add(&image, &own);
        for Library { name, found } in if with_libraries {
            libraries::of(&image)
        } else {
            Vec::new()
        } {
            match &found {
                Some((_, library)) => uses.add(library, &name),
                None => self.note(Verdict::Untold, format!("its library {name} is not found")),
            }
            let file = found.map(|(path, _)| path.display().to_string());
            self.libraries.push(Found { name, file });
        }
        self.symbols = uses.sorted();
        if self.symbols.iter().any(|one| one.way >= Way::Lost) {
            self.verdict = self.verdict.max(Verdict::NotCovered);
        }
    }

    /// The answer as one line of JSON.
    pub fn json(&self) -> String {
        // Strings and numbers alone: there is nothing that could fail.
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("{text}\n")
    }

    fn summary(&self) -> &'static str {
        match self.verdict {
            Verdict::Covered if self.symbols.is_empty() => "covered",
            Verdict::Covered if self.symbols.iter().any(|one| one.way == Way::Mount) => {
                "covered, in part through the mount"
            }
            Verdict::Covered => "covered by host calls",
            Verdict::NotCovered => "not all is covered",
            Verdict::Untold => "cannot be told",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.program, self.summary())?;
        if !self.interpreters.is_empty() {
            writeln!(
                f,
                "  a script, executed by {}",
                self.interpreters.join(", by ")
            )?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        let ways = [
            (Way::HostCalls, "by host calls"),
            (Way::Mount, "through the mount"),
            (Way::Lost, "not covered"),
            (Way::Unknown, "unknown to the symbol table"),
        ];
        for (way, title) in ways {
            let uses: Vec<&Use> = self.symbols.iter().filter(|one| one.way == way).collect();
            if uses.is_empty() {
                continue;
            }
            writeln!(f, "  {title}")?;
            if way != Way::HostCalls {
                for one in uses {
                    writeln!(
                        f,
                        "    {} in {}: {}",
                        one.name,
                        one.used_by.join(", "),
                        one.reason
                    )?;
                }
                continue;
            }
            for family in FAMILIES {
                let names: Vec<&str> = uses
                    .iter()
                    .filter(|one| one.family == family.name)
                    .map(|one| one.name.as_str())
                    .collect();
                if !names.is_empty() {
                    writeln!(f, "    {}: {}", family.title, names.join(" "))?;
                }
            }
        }
        if !self.libraries.is_empty() {
            let names: Vec<&str> = self.libraries.iter().map(|one| one.name.as_str()).collect();
            writeln!(f, "  with its libraries {}", names.join(" "))?;
        }
        Ok(())
    }
}

//! What was entered: a database that all shells of a user share, with where each line ran and how it has ended.

use crate::dosh::jobs::Places;
use crate::dosh::plan::Place;
use crate::dosh::shell::Shell;
use crate::dosh::sys;
use chrono::Utc;
use reedline::{
    History as _, HistoryItem, HistoryItemExtraInfo, HistoryItemId, HistorySessionId, Result,
    SearchDirection, SearchQuery, SqliteBackedHistory,
};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many lines are kept where `$HISTSIZE` says nothing.
const MOST: i64 = 20_000;

/// What is kept of a line beside what reedline's columns hold of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Where {
    /// Where commands ran: `guest`, `host` or `both`. Until they have ended, where those run that say nothing of it.
    pub os: String,
    /// The host's name.
    pub host: Option<String>,
    /// The working directory on the host.
    pub host_cwd: Option<String>,
}

impl HistoryItemExtraInfo for Where {}

/// A line with all that is known of it.
pub type Entry = HistoryItem<Where>;

/// The history, which the editor and the built-in share.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    database: Option<SqliteBackedHistory>,
    /// What `$HISTFILE` was.
    path: Option<PathBuf>,
    place: Where,
    name: String,
    directory: String,
    most: i64,
    /// The last line that was entered.
    last: Option<HistoryItemId>,
    /// It was told that the database does not work.
    told: bool,
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of a shell at a terminal. In its children it is opened anew: a database's locks are a process's own.
    pub fn of(shell: &Shell) -> Option<History> {
        let keyboard = shell.keyboard.as_ref()?;
        if !shell.subshell {
            return Some(keyboard.history.clone());
        }
        let history = History::default();
        history.follow(shell);
        Some(history)
    }

    /// Before a line is read: opens the database that the variables name, and remembers where the line will run.
    pub fn follow(&self, shell: &Shell) {
        let mut store = self.lock();
        let path = path(shell);
        if store.database.is_none() || store.path != path {
            store.last = None;
            store.database = open(path.as_deref());
            store.path = path;
        }
        let size = shell.variables.get(b"HISTSIZE");
        let size = size.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        store.most = size.unwrap_or(MOST);
        let sides = shell.sides();
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        store.name = sides.guest.name;
        store.directory = lossy(&sides.guest.directory);
        store.place = Where {
            os: match sides.place {
                Place::Guest => "guest".to_owned(),
                Place::Host => "host".to_owned(),
            },
            host_cwd: sides.host.as_ref().map(|side| lossy(&side.directory)),
            host: sides.host.map(|side| side.name),
        };
    }

    /// Keeps a line that no editor has read.
    pub fn enter(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        if !line.is_empty() && !line.starts_with(' ') {
            let _ = self.save(HistoryItem::from_command_line(line));
        }
    }

    /// The entry of the line that runs.
    pub fn running(&self) -> Option<HistoryItemId> {
        self.lock().last
    }

    /// Keeps another line in the place of the one that runs.
    pub fn replace(&mut self, line: &[u8]) {
        let mut store = self.lock();
        if let (Some(last), Some(database)) = (store.last.take(), &mut store.database) {
            let _ = database.delete(last);
        }
        drop(store);
        self.enter(line);
    }

    /// Where the last line ran, and how it has ended.
    pub fn ended(&self, places: Places, status: i32, took: Duration) {
        let mut store = self.lock();
        let (Some(last), Some(database)) = (store.last.take(), &mut store.database) else {
            return;
        };
        let os = match places {
            Places::Guest => "guest",
            Places::Host => "host",
            Places::Both => "both",
        };
        let _ = database.update_with_extra(last, &|item: Entry| HistoryItem {
            exit_status: Some(status.into()),
            duration: Some(took),
            more_info: item.more_info.map(|place| Where {
                os: os.to_owned(),
                ..place
            }),
            ..item
        });
    }

    /// The last entries, oldest first: those that hold the text, or all.
    pub fn entries(&self, holding: &str, most: Option<i64>) -> Vec<Entry> {
        let store = self.lock();
        let mut query = match holding {
            "" => SearchQuery::everything(SearchDirection::Backward, None),
            holding => SearchQuery::all_that_contain_rev(holding.to_owned()),
        };
        query.limit = most;
        let found = store
            .database
            .as_ref()
            .map(|database| database.search_with_extra(query));
        let mut entries = found.and_then(Result::ok).unwrap_or_default();
        entries.reverse();
        entries
    }
}

/// The database's file; nothing if none is wanted.
fn path(shell: &Shell) -> Option<PathBuf> {
    let of = |text: &[u8]| PathBuf::from(OsStr::from_bytes(text));
    let set = |name| shell.variables.get(name).filter(|text| !text.is_empty());
    match shell.variables.get(b"HISTFILE") {
        Some(b"") => None,
        Some(path) => Some(of(path)),
        None => {
            let state = match set(b"XDG_STATE_HOME") {
                Some(state) => of(state),
                None => of(set(b"HOME")?).join(".local/state"),
            };
            Some(state.join("dosh/history.sqlite3"))
        }
    }
}

/// Opens a database, or one in memory if there is no file or it cannot be used, which is told.
fn open(path: Option<&Path>) -> Option<SqliteBackedHistory> {
    if let Some(path) = path {
        match open_file(path) {
            Ok(database) => return Some(database),
            Err(why) => {
                let path = path.display();
                let text = format!("dosh: history {path}: {why}; going on without it\n");
                let _ = sys::write_all(2, text.as_bytes());
            }
        }
    }
    SqliteBackedHistory::in_memory().ok()
}

/// It is nobody else's affair: the file's mode is also that of what SQLite lays beside it.
fn open_file(path: &Path) -> std::result::Result<SqliteBackedHistory, String> {
    let failed = |error: std::io::Error| sys::reason(error);
    if let Some(directory) = path.parent() {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(directory);
        made.map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options.open(path).map_err(failed)?;
    SqliteBackedHistory::with_file(path.to_owned(), None, None).map_err(|error| own_words(&error))
}

/// SQLite's own message in what reedline makes of it, which is for programmers.
fn own_words(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let own = text.split("Some(\"").nth(1);
    let own = own.and_then(|rest| rest.split('"').next());
    own.unwrap_or(&text).to_owned()
}

impl Store {
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        let Some(database) = &mut self.database else {
            return Ok(item);
        };
        let newest = SearchQuery {
            limit: Some(1),
            ..SearchQuery::everything(SearchDirection::Backward, None)
        };
        let newest = database.search(newest)?.pop();
        let again = newest.filter(|newest| newest.command_line == item.command_line);
        let entry = database.save_with_extra(HistoryItem {
            // The same line once more is the same entry.
            id: again.and_then(|entry| entry.id),
            start_timestamp: Some(Utc::now()),
            command_line: item.command_line.clone(),
            session_id: Some(HistorySessionId::new(std::process::id().into())),
            hostname: Some(self.name.clone()),
            cwd: Some(self.directory.clone()),
            duration: None,
            exit_status: None,
            more_info: Some(self.place.clone()),
        })?;
        self.last = entry.id;
        let excess = database.count_all()? - self.most;
        if excess > 0 {
            let oldest = SearchQuery {
                limit: Some(excess),
                ..SearchQuery::everything(SearchDirection::Forward, None)
            };
            for entry in database
                .search(oldest)?
                .into_iter()
                .filter_map(|entry| entry.id)
            {
                database.delete(entry)?;
            }
        }
        Ok(HistoryItem {
            id: entry.id,
            ..item
        })
    }

    /// A database that fails is no reason to lose a line or the shell.
    fn told<T>(&mut self, result: Result<T>, otherwise: T) -> T {
        result.unwrap_or_else(|error| {
            if !std::mem::replace(&mut self.told, true) {
                let text = format!("\r\ndosh: history: {}\r\n", own_words(&error));
                let _ = sys::write_all(2, text.as_bytes());
            }
            otherwise
        })
    }
}

impl reedline::History for History {
    fn save(&mut self, item: HistoryItem) -> Result<HistoryItem> {
        let mut store = self.lock();
        let saved = store.save(item.clone());
        Ok(store.told(saved, item))
    }

    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        match &self.lock().database {
            Some(database) => database.load(id),
            None => Ok(HistoryItem::from_command_line("")),
        }
    }

    fn count(&self, query: SearchQuery) -> Result<i64> {
        let mut store = self.lock();
        let count = store
            .database
            .as_ref()
            .map(|database| database.count(query));
        let count = count.unwrap_or(Ok(0));
        Ok(store.told(count, 0))
    }

    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        let mut store = self.lock();
        let found = store
            .database
            .as_ref()
            .map(|database| database.search(query));
        let found = found.unwrap_or(Ok(Vec::new()));
        Ok(store.told(found, Vec::new()))
    }

    fn update(
        &mut self,
        id: HistoryItemId,
        updater: &dyn Fn(HistoryItem) -> HistoryItem,
    ) -> Result<()> {
        match &mut self.lock().database {
            Some(database) => database.update(id, updater),
            None => Ok(()),
        }
    }

    fn clear(&mut self) -> Result<()> {
        match &mut self.lock().database {
            Some(database) => database.clear(),
            None => Ok(()),
        }
    }

    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
        match &mut self.lock().database {
            Some(database) => database.delete(id),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn session(&self) -> Option<HistorySessionId> {
        None
    }
}

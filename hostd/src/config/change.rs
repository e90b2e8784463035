//! Changes to a guest's exports while it is served: what the list becomes, judged as a configuration is.

use super::check::exports_of;
use super::Export;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Export this; a place that is exported already gets this mode.
    Add(Export),
    /// Export this no more.
    Remove(PathBuf),
}

impl Change {
    /// The list after the change.
    ///
    /// # Errors
    /// The change changes nothing, leaves nothing, or is none that a configuration could hold; one line with the cure.
    pub fn apply(&self, exports: &[Export]) -> Result<Vec<Export>, String> {
        let mut exports = exports.to_vec();
        let place = |path: &Path| {
            let plain = |path: &Path| path.components().collect::<PathBuf>();
            let same = plain(path);
            move |export: &Export| plain(&export.path) == same
        };
        match self {
            Change::Add(new) => match exports.iter_mut().find(|old| place(&new.path)(old)) {
                Some(old) if old.mode == new.mode => {
                    let path = new.path.display();
                    return Err(format!("{path} is exported {} already", new.mode));
                }
                Some(old) => old.mode = new.mode,
                None => exports.push(new.clone()),
            },
            Change::Remove(path) => {
                let Some(at) = exports.iter().position(place(path)) else {
                    let all: Vec<String> = exports
                        .iter()
                        .map(|export| export.path.display().to_string())
                        .collect();
                    let (path, all) = (path.display(), all.join(", "));
                    return Err(format!("{path} is not exported; exported: {all}"));
                };
                if exports.len() == 1 {
                    let path = path.display();
                    return Err(format!(
                        "{path} is the only export; add another before this one is removed"
                    ));
                }
                exports.remove(at);
            }
        }
        exports_of(&exports).map(|()| exports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Access;

    fn export(path: &str, mode: Access) -> Export {
        Export {
            path: PathBuf::from(path),
            mode,
        }
    }

    #[test]
    fn exports_come_change_and_go() {
        let one = [export("/srv", Access::Rw)];
        let two = Change::Add(export("/tmp", Access::Ro)).apply(&one).unwrap();
        assert_eq!(two, [one[0].clone(), export("/tmp", Access::Ro)]);
        let changed = Change::Add(export("/srv/", Access::Ro)).apply(&two);
        assert_eq!(changed.unwrap()[0].mode, Access::Ro);
        let left = Change::Remove(PathBuf::from("/srv/")).apply(&two).unwrap();
        assert_eq!(left, [export("/tmp", Access::Ro)]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_cure() {
        let one = [export("/srv", Access::Rw)];
        let fault = |change: Change| change.apply(&one).unwrap_err();
        let again = fault(Change::Add(export("/srv/.", Access::Rw)));
        assert_eq!(again, "/srv/. is exported rw already");
        let absent = fault(Change::Remove(PathBuf::from("/tmp")));
        assert_eq!(absent, "/tmp is not exported; exported: /srv");
        let last = fault(Change::Remove(PathBuf::from("/srv")));
        assert!(last.contains("add another before"), "{last}");
        let above = fault(Change::Add(export("/srv/../etc", Access::Rw)));
        assert!(above.contains("holds `..`"), "{above}");
        let proc = fault(Change::Add(export("/proc", Access::Ro)));
        assert!(proc.contains("lead out of the view"), "{proc}");
    }
}

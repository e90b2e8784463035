//! Whose rights a guest's calls have on the host.

use super::{GuestConfig, HostUser, UserError};
use crate::idmap::{IdMap, IdMaps, MapError, Range};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The value of `as` that gives each call the rights of the guest process that makes it.
const CALLER: &str = "caller";

/// Whose rights a guest's calls have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Rights {
    /// Those of the user who runs hostd.
    #[default]
    Own,
    /// Those of this host user.
    User(String),
    /// Those of each call's caller in the guest, by way of the guest's id maps.
    Caller,
}

impl Rights {
    /// Whether nothing was configured.
    pub(super) fn is_own(&self) -> bool {
        *self == Rights::Own
    }
}

impl From<String> for Rights {
    fn from(text: String) -> Rights {
        match text == CALLER {
            true => Rights::Caller,
            false => Rights::User(text),
        }
    }
}

impl From<Rights> for String {
    fn from(rights: Rights) -> String {
        match rights {
            Rights::Own => String::new(),
            Rights::User(name) => name,
            Rights::Caller => CALLER.to_owned(),
        }
    }
}

/// The configured rights cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RightsError {
    /// The user cannot be used.
    User(UserError),
    /// Another user was asked for without the right to become that user.
    OtherUser(String),
    /// Only root can act for the callers of a guest.
    CallerNeedsRoot,
    /// A map is no map.
    Map(&'static str, MapError),
    /// A map where all calls have the rights of one user.
    MapWithoutCaller(&'static str),
}

impl RightsError {
    /// The key of the guest's configuration that the error is about.
    pub fn key(&self) -> &'static str {
        match self {
            RightsError::Map(key, _) | RightsError::MapWithoutCaller(key) => key,
            _ => "as",
        }
    }
}

impl fmt::Display for RightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RightsError::User(error) => error.fmt(f),
            RightsError::OtherUser(name) => {
                write!(
                    f,
                    "only root can run shadows as {name}; run hostd as root or as {name}"
                )
            }
            RightsError::CallerNeedsRoot => f.write_str(
                "only root can act for each caller of a guest; run hostd as root, or name one user",
            ),
            RightsError::Map(_, error) => error.fmt(f),
            RightsError::MapWithoutCaller(_) => {
                f.write_str("has a meaning only with \"as\": \"caller\"; add that, or leave it out")
            }
        }
    }
}

impl std::error::Error for RightsError {}

impl GuestConfig {
    /// The host user that the guest's shadows run as, and the id maps if they act for each call's caller.
    ///
    /// # Errors
    /// No such user, a map that is none, or rights that only root can give.
    pub fn rights(&self) -> Result<(HostUser, Option<IdMaps>), RightsError> {
        let root = Uid::effective().is_root();
        if self.rights != Rights::Caller {
            for (key, map) in [("uid_map", &self.uid_map), ("gid_map", &self.gid_map)] {
                if map.is_some() {
                    return Err(RightsError::MapWithoutCaller(key));
                }
            }
        }
        let user = match &self.rights {
            Rights::User(name) => HostUser::named(name),
            Rights::Own | Rights::Caller => HostUser::calling(),
        };
        let user = user.map_err(RightsError::User)?;
        match self.rights {
            Rights::Caller => {
                // The maps first: what is wrong with them is wrong for every user.
                let maps = IdMaps {
                    uids: map("uid_map", self.uid_map.as_deref())?,
                    gids: map("gid_map", self.gid_map.as_deref())?,
                };
                match root {
                    true => Ok((user, Some(maps))),
                    false => Err(RightsError::CallerNeedsRoot),
                }
            }
            _ if !root && user.uid != Uid::effective().as_raw() => {
                Err(RightsError::OtherUser(user.name))
            }
            _ => Ok((user, None)),
        }
    }
}

fn map<G, H>(key: &'static str, ranges: Option<&[Range]>) -> Result<IdMap<G, H>, RightsError>
where
    G: From<u32> + Into<u32>,
    H: From<u32> + Into<u32>,
{
    match ranges {
        None => Ok(IdMap::identity()),
        Some(ranges) => IdMap::new(ranges).map_err(|error| RightsError::Map(key, error)),
    }
}

//! The ways by which a case's calls are made. One more way is one more row here and one more arm in `Run::start`.

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// libc on the host itself: the oracle.
    Native,
    /// Typed calls of [`hostcall::client`].
    Client,
    /// libc under the preload library, with the paths below its prefix.
    Preload,
    /// libc on a hostfs mount, with the paths below it.
    Hostfs,
}

impl Way {
    /// All of them, the oracle first.
    pub const ALL: [Way; 4] = [Way::Native, Way::Client, Way::Preload, Way::Hostfs];

    /// As the case runner's argument names it.
    pub fn name(self) -> &'static str {
        match self {
            Way::Native => "native",
            Way::Client => "client",
            Way::Preload => "preload",
            Way::Hostfs => "hostfs",
        }
    }

    /// The way of this name.
    pub fn named(name: &str) -> Option<Way> {
        Way::ALL.into_iter().find(|way| way.name() == name)
    }

    /// Where this way finds a host path; `mountpoint` is that of a hostfs mount.
    pub fn sees(self, path: &str, mountpoint: &str) -> String {
        match self {
            Way::Native | Way::Client => path.to_owned(),
            Way::Preload => format!("/host{path}"),
            Way::Hostfs => format!("{mountpoint}{path}"),
        }
    }
}

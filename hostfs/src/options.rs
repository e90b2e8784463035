//! The command line, and the `-o` list as mount(8) and `mount.fuse` users know it: pure parsing.

use crate::cache::Cache;
use crate::check;
use clap::{ArgAction, Parser, Subcommand};
use fuser::MountOption;
use std::path::PathBuf;

/// Threads that serve the guest kernel, unless told otherwise.
const THREADS: usize = 4;
/// `O_PATH` descriptors held on the host, unless told otherwise: a quarter of what a shadow may open.
const HANDLES: usize = 256;

/// Directories watched on the host, unless told otherwise.
const WATCHES: usize = 1024;

/// Mounts the host's exports in this guest, so that every program sees them.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "hostfs",
    version,
    override_usage = "hostfs [SOURCE] MOUNTPOINT [-o OPTIONS] [--foreground|--background]\n       hostfs check-preload PROGRAM...",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    after_help = "\
Options of -o, separated by commas:
  cache=none|auto|always  what the kernel keeps: nothing; metadata for a second and data from open to close (default);
                          everything for a day, writes included
  symlinks=host|stored    absolute targets of links are followed on the host (default), or left as they are stored
  handles=N               path descriptors held on the host at most (default 256)
  watches=N               directories watched on the host for changes, 0 for none (default 1024)
  threads=N               threads that serve the kernel (default 4)
  attach=PATH             the socket or device of the host; the same as SOURCE
  allow_other, allow_root, private   who may use the mount: everyone (default for root), its owner and root, its owner
  ro, rw, suid, nosuid, dev, nodev, exec, noexec, atime, noatime, sync, dirsync, fsname=NAME
Unmount with `umount MOUNTPOINT` or `fusermount3 -u MOUNTPOINT`. In /etc/fstab:
  host  /host  fuse.hostfs  cache=auto,nofail  0  0"
)]
pub struct Arguments {
    /// What else than mounting is to be done
    #[command(subcommand)]
    pub command: Option<Command>,
    /// SOURCE (`host`, or the path to attach to) and MOUNTPOINT, or MOUNTPOINT alone
    #[arg(required = true, num_args = 1..=2, value_name = "[SOURCE] MOUNTPOINT", hide_possible_values = true)]
    pub places: Vec<PathBuf>,
    /// Mount options
    #[arg(short = 'o', value_name = "OPTIONS", action = ArgAction::Append)]
    pub options: Vec<String>,
    /// Stay in the foreground until unmounted
    #[arg(short, long, conflicts_with = "background")]
    pub foreground: bool,
    /// Return once mounted (default)
    #[arg(short, long)]
    pub background: bool,
}

/// What hostfs does besides mounting.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    #[allow(missing_docs)]
    CheckPreload(check::Arguments),
}

/// Who may use the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Everyone if root mounts, else the user who does.
    Usual,
    /// Everyone.
    All,
    /// The user who mounts, and root.
    Root,
    /// The user who mounts.
    Owner,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to mount.
    pub mountpoint: PathBuf,
    /// Where to attach; `None` means wherever a host is found.
    pub attach: Option<PathBuf>,
    /// The cache mode.
    pub cache: Cache,
    /// Whether absolute links are followed on the host.
    pub follow_on_host: bool,
    /// Descriptors to hold.
    pub handles: usize,
    /// Directories to watch.
    pub watches: usize,
    /// Threads.
    pub threads: usize,
    /// Who may use it.
    pub users: Users,
    /// Name of the source in the table of mounts.
    pub name: String,
    /// What the kernel is told.
    pub mount: Vec<MountOption>,
}

/// Options with a value, and without.
const VALUED: [&str; 8] = [
    "cache", "symlinks", "handles", "watches", "threads", "attach", "fsname", "subtype",
];
const PLAIN: [&str; 25] = [
    "allow_other",
    "allow_root",
    "private",
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "atime",
    "noatime",
    "sync",
    "async",
    "dirsync",
    "defaults",
    "relatime",
    "norelatime",
    "strictatime",
    "diratime",
    "nodiratime",
    "lazytime",
    "silent",
    "nonempty",
];
/// Options of other FUSE file systems that mean nothing here, and what does.
const ELSEWHERE: [(&[&str], &str); 5] = [
    (
        &["uid", "gid", "umask"],
        "owners and modes are the host's; hostd maps them, see `as` in its configuration",
    ),
    (
        &[
            "kernel_cache",
            "auto_cache",
            "entry_timeout",
            "attr_timeout",
            "ac_attr_timeout",
            "negative_timeout",
            "direct_io",
        ],
        "what the kernel keeps is said by cache=none|auto|always",
    ),
    (
        &["max_read", "max_write", "max_background", "big_writes"],
        "sizes are agreed on with the kernel; leave it out",
    ),
    (
        &["default_permissions", "auto_unmount"],
        "that is as it has to be by itself; leave it out",
    ),
    (
        &["remount"],
        "a mount is not changed; unmount it and mount it anew",
    ),
];
/// What mount(8) and fstab(5) keep for themselves.
const FOREIGN: [&str; 9] = [
    "auto", "noauto", "user", "users", "nouser", "owner", "group", "nofail", "_netdev",
];

impl Options {
    /// Understands a command line.
    ///
    /// # Errors
    /// A line that names the option and the nearest one that exists.
    pub fn parse(arguments: &Arguments) -> Result<Options, String> {
        let (source, mountpoint) = match arguments.places.as_slice() {
            [mountpoint] => (None, mountpoint),
            [source, mountpoint] => (Some(source), mountpoint),
            _ => return Err("one mountpoint is needed".to_owned()),
        };
        let attach = source.filter(|source| source.to_str() != Some("host"));
        let mut options = Options {
            mountpoint: mountpoint.clone(),
            attach: attach.cloned(),
            cache: Cache::default(),
            follow_on_host: true,
            handles: HANDLES,
            watches: WATCHES,
            threads: THREADS,
            users: Users::Usual,
            name: "host".to_owned(),
            mount: Vec::new(),
        };
        let words = arguments.options.iter().flat_map(|list| list.split(','));
        for word in words.filter(|word| !word.is_empty()) {
            options.take(word)?;
        }
        Ok(options)
    }

    fn take(&mut self, word: &str) -> Result<(), String> {
        if FOREIGN.contains(&word) || word.starts_with("x-") || word.starts_with("comment=") {
            return Ok(());
        }
        let (name, value) = word
            .split_once('=')
            .map_or((word, None), |(name, value)| (name, Some(value)));
        match value {
            Some(value) if VALUED.contains(&name) => self.take_value(name, value),
            None if PLAIN.contains(&name) => {
                self.take_plain(name);
                Ok(())
            }
            Some(_) if PLAIN.contains(&name) => Err(format!("option `{name}` takes no value")),
            None if VALUED.contains(&name) => {
                Err(format!("option `{name}` needs a value: {name}=…"))
            }
            _ => {
                let mut known = ELSEWHERE.iter();
                Err(match known.find(|(names, _)| names.contains(&name)) {
                    Some((_, why)) => format!("no option `{name}` here: {why}"),
                    None => unknown("option", name, VALUED.iter().chain(&PLAIN)),
                })
            }
        }
    }

    fn take_value(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "cache" => {
                let mode = Cache::NAMES.iter().find(|(name, _)| *name == value);
                let names = Cache::NAMES.map(|(name, _)| name);
                self.cache = mode
                    .ok_or_else(|| unknown("cache mode", value, names.iter()))?
                    .1;
            }
            "symlinks" => {
                self.follow_on_host = match value {
                    "host" => true,
                    "stored" => false,
                    _ => {
                        return Err(unknown(
                            "value of symlinks",
                            value,
                            ["host", "stored"].iter(),
                        ))
                    }
                }
            }
            "handles" => self.handles = number(name, value, 16..=1 << 20)?,
            "watches" => self.watches = number(name, value, 0..=8192)?,
            "threads" => self.threads = number(name, value, 1..=64)?,
            "attach" => self.attach = Some(value.into()),
            "fsname" => self.name = value.to_owned(),
            // mount(8) passes the type on; it is always this one.
            _ => {}
        }
        Ok(())
    }

    fn take_plain(&mut self, name: &str) {
        let option = match name {
            "allow_other" => return self.users = Users::All,
            "allow_root" => return self.users = Users::Root,
            "private" => return self.users = Users::Owner,
            "ro" => MountOption::RO,
            "rw" => MountOption::RW,
            "suid" => MountOption::Suid,
            "nosuid" => MountOption::NoSuid,
            "dev" => MountOption::Dev,
            "nodev" => MountOption::NoDev,
            "exec" => MountOption::Exec,
            "noexec" => MountOption::NoExec,
            "atime" => MountOption::Atime,
            "noatime" => MountOption::NoAtime,
            "sync" => MountOption::Sync,
            "async" => MountOption::Async,
            "dirsync" => MountOption::DirSync,
            // `defaults` is what happens anyway, times of access are the host's, and a mountpoint need not be empty.
            _ => return,
        };
        // The last of two opposites counts, as for mount(8).
        let opposite = match option {
            MountOption::RO => Some(MountOption::RW),
            MountOption::RW => Some(MountOption::RO),
            MountOption::Suid => Some(MountOption::NoSuid),
            MountOption::NoSuid => Some(MountOption::Suid),
            MountOption::Dev => Some(MountOption::NoDev),
            MountOption::NoDev => Some(MountOption::Dev),
            MountOption::Exec => Some(MountOption::NoExec),
            MountOption::NoExec => Some(MountOption::Exec),
            MountOption::Atime => Some(MountOption::NoAtime),
            MountOption::NoAtime => Some(MountOption::Atime),
            MountOption::Sync => Some(MountOption::Async),
            MountOption::Async => Some(MountOption::Sync),
            _ => None,
        };
        self.mount
            .retain(|other| *other != option && Some(other) != opposite.as_ref());
        self.mount.push(option);
    }
}

fn number(
    name: &str,
    value: &str,
    range: std::ops::RangeInclusive<usize>,
) -> Result<usize, String> {
    value
        .parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            format!(
                "option `{name}` needs a number from {} to {}, not `{value}`",
                range.start(),
                range.end()
            )
        })
}

fn unknown<'n>(what: &str, word: &str, known: impl Iterator<Item = &'n &'n str>) -> String {
    let near = known
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3);
    match near {
        Some((_, name)) => format!("unknown {what} `{word}`; did you mean `{name}`?"),
        None => format!("unknown {what} `{word}`; see hostfs --help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let arguments = Arguments::try_parse_from(line.split_whitespace());
        Options::parse(&arguments.map_err(|error| error.to_string())?)
    }

    #[test]
    fn a_line_of_fstab_is_understood() {
        let options = parse("hostfs host /host -o rw,nosuid,cache=always,x-systemd.automount,_netdev,handles=16 -o symlinks=stored").unwrap();
        assert_eq!(options.mountpoint, PathBuf::from("/host"));
        assert_eq!((options.attach, options.cache), (None, Cache::Always));
        assert_eq!((options.handles, options.follow_on_host), (16, false));
        assert_eq!(options.mount, [MountOption::RW, MountOption::NoSuid]);
        let options = parse("hostfs /run/x.sock /mnt").unwrap();
        assert_eq!(options.attach, Some("/run/x.sock".into()));
    }

    #[test]
    fn the_last_of_two_opposites_counts() {
        let options = parse("hostfs /mnt -o ro,noexec,rw,exec,ro").unwrap();
        assert_eq!(options.mount, [MountOption::Exec, MountOption::RO]);
    }

    #[test]
    fn mistakes_are_told_with_the_nearest_name() {
        let fault = |list: &str| parse(&format!("hostfs /mnt -o {list}")).unwrap_err();
        assert_eq!(
            fault("cahce=none"),
            "unknown option `cahce`; did you mean `cache`?"
        );
        assert_eq!(
            fault("cache=nnoe"),
            "unknown cache mode `nnoe`; did you mean `none`?"
        );
        assert_eq!(
            fault("symlinks=host,quux"),
            "unknown option `quux`; see hostfs --help"
        );
        assert_eq!(
            fault("handles"),
            "option `handles` needs a value: handles=…"
        );
        assert_eq!(fault("ro=1"), "option `ro` takes no value");
        assert!(fault("uid=5").contains("owners and modes are the host's"));
        assert!(fault("entry_timeout=1").contains("cache=none|auto|always"));
        assert!(fault("remount").contains("mount it anew"));
        assert!(fault("threads=0").contains("from 1 to 64"));
        assert!(parse("hostfs").is_err());
        assert!(parse("hostfs / -f -b").is_err());
    }

    #[test]
    fn the_command_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}

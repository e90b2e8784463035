//! What is offered where.

use super::choices::{choices, Choices};
use super::desk::Desk;
use super::host::{Host, Question};
use super::offer::Offer;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A guest directory with files, a host that has others, and a shell with names of its own.
struct World {
    directory: tempfile::TempDir,
    desk: Desk,
}

fn world() -> World {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir_all(at("folder/inner")).expect("a directory");
    for name in ["file one", "file two", ".hidden", "run-me", "folder/deep"] {
        std::fs::write(at(name), "").expect("a file");
    }
    std::fs::set_permissions(at("run-me"), PermissionsExt::from_mode(0o755)).expect("a mode");
    let mut desk = Desk::default();
    let path = directory.path().as_os_str().as_bytes();
    for (name, value) in [
        ("PATH", path),
        ("HERE", path),
        ("HOME", path),
        ("HEIGHT", b"1"),
        ("DIR", path),
    ] {
        desk.scene.variables.insert(name.into(), value.to_vec());
    }
    desk.scene.functions.insert(b"greet".to_vec());
    desk.scene.aliases.insert(b"ll".to_vec(), b"ls -l".to_vec());
    desk.scene.jobs.push((3, b"sleep 100".to_vec()));
    let asked = |text: &str| text.as_bytes().to_vec();
    desk.host = Host::told(&[
        (Question::Programs(asked("ma")), &["make", "man"]),
        (Question::Paths(asked("so")), &["some folder/", "sound"]),
        (
            Question::Paths(asked("some folder/")),
            &["some folder/letter"],
        ),
        (Question::Directories(asked("so")), &["some folder/"]),
        (Question::Paths(asked("/de")), &["/dev/"]),
    ]);
    for line in ["ls -l --all", "hrun make --jobs=4 -k"] {
        desk.scene
            .with_mode(|mode| desk.habits.learn(line.as_bytes(), mode));
    }
    World { directory, desk }
}

impl World {
    fn offer(&mut self, text: &str) -> Offer {
        let here = self.directory.path().display().to_string();
        let text = text.replace("HERE/", &format!("{here}/"));
        match choices(&mut self.desk, text.as_bytes(), Duration::ZERO) {
            Choices::Offer(offer) => offer,
            Choices::Waiting => panic!("{text} waits"),
        }
    }

    /// The names that are offered.
    fn names(&mut self, text: &str) -> Vec<String> {
        let names = self.offer(text).candidates.into_iter();
        names
            .map(|one| String::from_utf8_lossy(&one.name).into_owned())
            .collect()
    }
}

#[test]
fn each_place_has_its_names() {
    let mut world = world();
    for (text, expected) in [
        ("gre", &["greet"][..]),
        ("run", &["run-me"]),
        ("whil", &["while"]),
        ("a | expo", &["export"]),
        ("HERE/fo", &["folder/"]),
        ("HERE/", &["folder/", "run-me"]),
        ("cat HERE/fi", &["file one", "file two"]),
        ("cat 'HERE/file t", &["file two"]),
        ("cat HERE/.h", &[".hidden"]),
        ("cat $DIR/fo", &["folder/"]),
        ("cat \"${DIR}/fo", &["folder/"]),
        ("cat ~/folder/", &["deep", "inner/"]),
        ("cat \"$(cat HERE/fo", &["folder/"]),
        ("cat <HERE/fo", &["folder/"]),
        ("cat >HERE/fo", &["folder/"]),
        ("x=HERE/fo", &["folder/"]),
        ("x=/bin:~/fo", &["folder/"]),
        ("dd if=HERE/fo", &["folder/"]),
        ("for i in HERE/fo", &["folder/"]),
        ("cd HERE/f", &["folder/"]),
        ("cd HERE/run", &[]),
        ("echo $HE", &["HEIGHT", "HERE"]),
        ("echo \"a${HER", &["HERE"]),
        ("echo $((HEI", &["HEIGHT"]),
        ("unset HEI", &["HEIGHT"]),
        ("fg %", &["%3"]),
        ("kill %", &["%3"]),
        ("echo ~roo", &["root/"]),
        ("unalias l", &["ll"]),
        ("type gre", &["greet"]),
        ("ls -", &["--all", "-l"]),
        ("ls HERE/ -", &["--all", "-l"]),
        ("hrun make --j", &["--jobs="]),
        ("kill -KIL", &["-KILL"]),
        (
            "set -o no",
            &[
                "noclobber",
                "noexec",
                "noglob",
                "nolog",
                "notify",
                "nounset",
            ],
        ),
        ("set -e +o v", &["verbose", "vi"]),
        ("hrun --tra", &["--translate"]),
        ("echo $(( `", &[]),
        ("echo # HERE/fo", &[]),
        ("cat <<HERE/fo", &[]),
    ] {
        let found = world.names(text);
        match expected {
            // The guest's own programs and built-ins come beside these.
            ["run-me"] | ["while"] | ["export"] | ["greet"] => {
                assert!(
                    found.iter().any(|name| name == expected[0]),
                    "{text}: {found:?}"
                );
            }
            [] if text.ends_with('`') => {}
            expected => assert_eq!(found, expected, "{text}"),
        }
    }
}

#[test]
fn the_hosts_places_have_the_hosts_names() {
    let mut world = world();
    for (text, expected) in [
        ("hrun ma", &["make", "man"][..]),
        ("@ ma", &["make", "man"]),
        ("a && hrun -t ma", &["make", "man"]),
        ("hrun cat so", &["some folder/", "sound"]),
        ("@ cat so", &["some folder/", "sound"]),
        ("hrun cat some\\ folder/", &["letter"]),
        ("hrun cat \"some folder/", &["letter"]),
        ("hcd so", &["some folder/"]),
        ("hpath -g /de", &["dev/"]),
        ("hrun /de", &["dev/"]),
        ("hrun dd of=/de", &["dev/"]),
    ] {
        assert_eq!(world.names(text), expected, "{text}");
    }
    world.desk.scene.on_host = true;
    assert_eq!(world.names("ma"), ["make", "man"]);
    assert_eq!(world.names("cat so"), ["some folder/", "sound"]);
    assert_eq!(world.names("guest cat so"), [""; 0]);
}

#[test]
fn without_a_host_nothing_of_it_is_offered() {
    let mut world = world();
    world.desk.host = Host::told(&[]);
    for text in ["hrun ma", "hrun cat so", "hcd so", "hrun cat "] {
        assert_eq!(world.names(text), [""; 0], "{text}");
    }
}

#[test]
fn what_is_offered_replaces_the_last_part_of_the_word() {
    let mut world = world();
    let text = "hrun cat \"some folder/";
    let offer = world.offer(text);
    assert_eq!(offer.start, text.len());
    assert_eq!(offer.written("")[0].text, "letter\"");
    let offer = world.offer("echo ${HER");
    assert_eq!((offer.start, &offer.written("")[0].text[..]), (7, "HERE}"));
    let offer = world.offer("echo ~roo");
    assert_eq!((offer.start, &offer.written("")[0].text[..]), (6, "root/"));
    let offer = world.offer("hrun cat so");
    assert_eq!(offer.start, 9);
    assert_eq!(offer.written("")[0].text, "some\\ folder/");
}

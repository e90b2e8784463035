//! Every case of the table by every way from a guest with a kernel of its own; native libc of the host is the oracle.
//!
//! One guest runs all cases of a way: a loop in it starts the case runner for each line that it is told.

use hostcall_tests::cases::Case;
use hostcall_tests::conform::{self, Road};
use hostcall_tests::daemon::{program, Scratch, PATIENCE};
use hostcall_tests::guest::Guest;
use hostcall_tests::outside::may_mount;
use hostcall_tests::shell::{can_be, UML};
use hostcall_tests::way::Way;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Where a guest has the host's files for programs that take the mount's road.
const MOUNTPOINT: &str = "/mnt/host";

/// For each case, way and directory of standard input: the transcript, how it ended, and what was said to the user.
const LOOP: &str = r#"
mkdir -p /mnt/host
[ -z "$options" ] || hostfs /mnt/host -o "$options"
cd /
while read -r case way base; do
    /root/case_runner "$case" "$way" "$base" 2>/root/complaints && code=0 || code=$?
    echo "-- exit status: $code"
    cat /root/complaints
    echo "-- end"
done
"#;

/// A guest that runs cases by one road, and the directory on the host that holds theirs.
struct Stage {
    guest: Guest,
    road: Road,
    directory: Scratch,
}

impl Stage {
    fn new(road: Road) -> Stage {
        let options = match road.way {
            Way::Hostfs => road.options(),
            _ => String::new(),
        };
        let mut command = Command::new(program("hostd"));
        command
            .args(["run", "--guest", "uml", "--no-mount", "--copy"])
            .arg(format!(
                "{}:/root/case_runner",
                program("case_runner").display()
            ))
            .args(["--", "env"])
            .arg(format!("options={options}"))
            .args(["bash", "-euc", LOOP]);
        Stage {
            guest: Guest::run(command),
            road,
            directory: Scratch::new(),
        }
    }

    fn run(&mut self, case: &Case) -> Vec<String> {
        let Road { way, .. } = self.road;
        let base = conform::directory(&self.directory, case, way, 0);
        let seen = way.sees(base.to_str().expect("a plain path"), MOUNTPOINT);
        let guest = &mut self.guest;
        guest.tell(&format!("{} {} {seen}", case.name, way.name()));
        let mut lines = Vec::new();
        let settling = self.road.settling();
        let end = conform::converse(guest, &mut lines, &base, settling);
        let end = end.expect("the guest lives");
        let status = end.strip_prefix("-- ").unwrap_or(&end);
        let said = std::iter::from_fn(|| guest.hear(PATIENCE));
        let complaints: Vec<_> = said.take_while(|line| line != "-- end").collect();
        conform::conclude(&mut lines, status, &complaints.join("\n"), &base);
        lines
    }
}

/// The case on the host itself.
fn native(directory: &Path, case: &Case) -> Vec<String> {
    let base = conform::directory(directory, case, Way::Native, 0);
    let mut command = Command::new(program("case_runner"));
    command
        .args([case.name, Way::Native.name()])
        .arg(&base)
        .env_clear()
        .current_dir("/");
    let mut process = Guest::run(command);
    let mut lines = Vec::new();
    let foreign = conform::converse(&mut process, &mut lines, &base, Duration::ZERO);
    assert_eq!(foreign, None, "not an event");
    let status = process.ended(PATIENCE);
    conform::conclude(&mut lines, &status.to_string(), "", &base);
    lines
}

fn conform(road: Road) {
    if !may_mount() {
        return;
    }
    if !can_be(UML) {
        return;
    }
    let road = road.from_another_root();
    let mut stage = Stage::new(road);
    let oracle = Scratch::new();
    conform::compare(road, |case| native(&oracle, case), |case| stage.run(case));
}

#[test]
fn client() {
    conform(Road::straight(Way::Client));
}

#[test]
fn preload() {
    conform(Road::straight(Way::Preload));
}

#[test]
fn hostfs() {
    conform(Road::mounted("none"));
}

#[test]
fn hostfs_that_caches() {
    conform(Road::mounted("auto"));
}

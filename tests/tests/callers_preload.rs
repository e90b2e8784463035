//! `as: caller` for unmodified programs: their files are those of whoever they are when they make a call.

use hostcall_tests::daemon::{program, Daemon};
use hostcall_tests::people::{look, make, own, serve, ANN, BOB, TEAM};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A daemon whose socket everybody may use, and the library where everybody can load it.
fn stage() -> (Daemon, PathBuf) {
    let daemon = serve(json!({}));
    let everybody = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(daemon.socket(), everybody(0o666)).unwrap();
    let library = daemon.directory.join("preload.so");
    std::fs::copy(program("libhostcall_preload.so"), &library).unwrap();
    std::fs::set_permissions(&library, everybody(0o755)).unwrap();
    (daemon, library)
}

/// Runs a program of the guest in the export.
fn run(daemon: &Daemon, library: &Path, command: &str, arguments: &[&str]) -> Output {
    let place = format!("/host{}", daemon.export("").display());
    let output = Command::new(command)
        .args(arguments)
        .env_clear()
        .env("HOSTCALL_ATTACH", daemon.socket())
        .env("LD_PRELOAD", library)
        .env("PLACE", place.trim_end_matches('/'))
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .current_dir("/")
        .output()
        .expect("it starts");
    assert!(
        output.status.success(),
        "{command} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn a_process_acts_with_the_ids_that_it_starts_with() {
    let (daemon, library) = stage();
    make(&daemon.export("private"), (0, 0), 0o600);
    make(&daemon.export("shared"), (ANN, TEAM), 0o660);
    let (bob, team) = (BOB.to_string(), TEAM.to_string());
    let script = "umask 027; echo x > $PLACE/new; mkdir $PLACE/dir; cat $PLACE/private || echo denied; \
                  echo y >> $PLACE/shared && echo written; test -r $PLACE/private || echo unreadable; id -u";
    let arguments = [
        "--reuid", &bob, "--regid", &bob, "--groups", &team, "sh", "-c", script,
    ];
    let output = run(&daemon, &library, "setpriv", &arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, format!("denied\nwritten\nunreadable\n{BOB}\n"));
    assert_eq!(look(&daemon.export("new")), (BOB, BOB, 0o640));
    assert_eq!(look(&daemon.export("dir")), (BOB, BOB, 0o750));
    let shared = std::fs::read_to_string(daemon.export("shared")).unwrap();
    assert_eq!(shared, "datay\n");
}

/// A daemon that takes a user's ids for a while and goes back, in one process and in its children.
#[test]
fn a_process_that_changes_its_ids_acts_with_the_new_ones() {
    let (daemon, library) = stage();
    own(&daemon.export(""), (0, 0), 0o1777);
    make(&daemon.export("private"), (0, 0), 0o600);
    let script = format!(
        r#"
        use POSIX ();
        $| = 1;
        my $place = $ENV{{PLACE}};
        sub touch {{ open(my $file, ">", "$place/$_[0]") or die "$_[0]: $!"; close $file; }}
        touch("root");
        $) = "{TEAM} {TEAM} 7";
        $> = {ANN};
        touch("ann");
        # access(2) asks for the real user, open(2) for the effective one.
        print POSIX::access("$place/private", POSIX::R_OK()) ? "root may\n" : "root may not\n";
        print open(my $hers, "<", "$place/private") ? "ann does\n" : "ann does not\n";
        my $pid = fork();
        if ($pid == 0) {{ touch("child"); exit 0; }}
        waitpid($pid, 0);
        $> = 0; $) = "0 0";
        touch("root-again");
        open(my $file, "<", "$place/private") or die "private: $!";
        $( = {BOB}; $) = "{BOB} {BOB}"; $< = {BOB}; $> = {BOB};
        touch("bob");
        open(my $none, "<", "$place/private") and die "root's rights are left";
        print "an open file is read on: ", <$file>, "\n";
        exec("sh", "-c", ": > $place/exec");
        "#
    );
    let output = run(&daemon, &library, "perl", &["-e", &script]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        said,
        "root may\nann does not\nan open file is read on: data\n"
    );
    let owner = |name: &str| {
        let (uid, gid, _) = look(&daemon.export(name));
        (uid, gid)
    };
    assert_eq!(owner("root"), (0, 0));
    assert_eq!(owner("ann"), (ANN, TEAM));
    assert_eq!(owner("child"), (ANN, TEAM));
    assert_eq!(owner("root-again"), (0, 0));
    assert_eq!(owner("bob"), (BOB, BOB));
    assert_eq!(owner("exec"), (BOB, BOB));
}

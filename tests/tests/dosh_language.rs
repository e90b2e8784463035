//! dosh's language: every case of `tests/dosh` runs as in bash and dash.

use hostcall_tests::daemon::program;
use hostcall_tests::random::Random;
use hostcall_tests::shell_cases::{differences, directory, run, table, Outcome};
use hostcall_tests::shell_grammar::Script;
use std::collections::BTreeSet;
use std::fs;

macro_rules! tables {
    ($($test:ident = $name:literal),* $(,)?) => {
        const TABLES: &[&str] = &[$($name),*];

        $(
            #[test]
            fn $test() {
                let dosh = program("dosh");
                let told = differences(dosh.to_str().unwrap(), &table($name));
                assert!(told.is_empty(), "{told}");
            }
        )*
    };
}

tables! {
    quoting = "2.02-quoting",
    tokens = "2.03-tokens",
    parameters = "2.05-parameters",
    tildes = "2.06.1-tilde",
    parameter_expansion = "2.06.2-parameter-expansion",
    substitution = "2.06.3-substitution",
    arithmetic = "2.06.4-arithmetic",
    splitting = "2.06.5-splitting",
    globs = "2.06.6-globs",
    redirection = "2.07-redirection",
    errors = "2.08-errors",
    commands = "2.09-commands",
    functions = "2.09.5-functions",
    traps_and_jobs = "2.11-traps-jobs",
    special_builtins = "2.14-special-builtins",
    builtins = "builtins",
}

#[test]
fn every_table_is_run_and_holds_its_part() {
    let files = fs::read_dir(directory()).unwrap().flatten();
    let files: BTreeSet<String> = files
        .map(|file| file.file_name().into_string().unwrap())
        .collect();
    let tables: BTreeSet<String> = TABLES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(files, tables);
    let cases: usize = TABLES.iter().map(|name| table(name).len()).sum();
    assert!(cases >= 400, "only {cases} cases");
}

/// Scripts made up. POSIX leaves some of what they do open: there bash and dash differ, and dosh is as one of them.
const MADE_UP: usize = 200;

#[test]
fn scripts_made_up_from_the_grammar_run_as_in_bash_or_dash() {
    let dosh = program("dosh");
    let mut random = Random::announced(6);
    for number in 0..MADE_UP {
        let script = Script::generate(&mut random);
        let ours = run(&[dosh.to_str().unwrap()], &script);
        let theirs = run(&["bash"], &script);
        if ours != theirs && ours != run(&["dash"], &script) {
            let place = std::env::temp_dir().join(format!("dosh-differs-{number}"));
            fs::write(&place, &script).unwrap();
            let said = |outcome: &Outcome| String::from_utf8_lossy(&outcome.output).into_owned();
            let (ours, theirs) = (said(&ours), said(&theirs));
            let differ = ours
                .lines()
                .zip(theirs.lines())
                .find(|(ours, theirs)| ours != theirs);
            panic!("script {number}, kept as {}: {differ:?}", place.display());
        }
    }
}

#[test]
fn a_stream_that_is_missing_stays_missing() {
    for (script, expected) in [
        ("\"$0\" -c 'cat; echo $?' <&-", "1\n"),
        ("\"$0\" -c 'echo x; echo $? >&2' 2>&1 >&-", "1\n"),
    ] {
        for shell in [program("dosh"), "/bin/bash".into()] {
            let mut command = std::process::Command::new("sh");
            let output = command.args(["-c", script]).arg(&shell).output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let status = said.lines().find(|line| *line == expected.trim());
            assert!(status.is_some(), "{script} in {}: {said}", shell.display());
        }
    }
}

/// Those that bash does not know, or does not let go.
#[test]
fn what_is_made_up_for_dosh_alone_can_be_unset_too() {
    let script = "for v in UID EUID HPWD HOLDPWD; do unset $v; declare -p $v || eval \"$v=7; declare -p $v\"; done";
    let mut command = std::process::Command::new(program("dosh"));
    let output = command.args(["-c", script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = ["UID", "EUID", "HPWD", "HOLDPWD"].map(|name| format!("declare -- {name}=7\n"));
    assert_eq!(said, expected.concat());
}

#[test]
fn a_missing_script_is_told_in_one_line_and_commands_taken_for_one_with_the_cure() {
    for (words, expected) in [
        (
            &["no-such-script"][..],
            "dosh: no-such-script: No such file or directory\n",
        ),
        (
            &["--explain", "a | hrun b"],
            "dosh: a | hrun b: No such file or directory; commands follow -c\n",
        ),
    ] {
        let mut command = std::process::Command::new(program("dosh"));
        let output = command.args(words).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(127));
    }
}

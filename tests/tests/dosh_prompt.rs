//! What a terminal shows of dosh in a guest with a host, and that `docs/dosh-prompt.txt` shows it so.

use hostcall_tests::screen::Screen;
use hostcall_tests::shell::{guest, LOCAL};
use std::fs;

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dosh-prompt.txt");

/// What is shown, what is typed for it, and how the screen then ends, without the mark's own sign.
const SCENES: &[(&str, &str, &str)] = &[
    (
        "Both systems, each with its directory",
        "",
        "@box:/usr/share\n",
    ),
    (
        "A command that failed; of its prompt the mark is left",
        "(exit 3)\r",
        " [3]\n",
    ),
    ("One that took long", "sleep 2.1\r", " 2.1s\n"),
    (
        "Commands that do not say where run on the host",
        "host on\r",
        "@box:/usr/share\nhost ",
    ),
    ("In the guest again", "host off\r", "@box:/usr/share\n"),
    (
        "A command that goes on",
        "for side in guest host\r",
        "host\n>",
    ),
];

/// The same on every machine: names, the user's sign, and how long it took.
fn anonymous(shown: &str) -> String {
    let name = nix::unistd::gethostname().expect("a name");
    let name = name.to_string_lossy();
    let line = |line: &str| {
        let line = line
            .replace(&format!("@{name}:"), "@box:")
            .replace(&format!("{name}:"), "guest:");
        let line = line.replacen("# ", "$ ", 1);
        let line = line
            .strip_suffix('#')
            .map_or(line.clone(), |mark| format!("{mark}$"));
        let (rest, last) = line.rsplit_once(' ').unwrap_or(("", &line));
        let seconds = last
            .strip_suffix('s')
            .and_then(|time| time.parse::<f64>().ok());
        match seconds {
            Some(seconds) if rest.starts_with("guest:") && seconds >= 2.0 => format!("{rest} 2.1s"),
            _ => line,
        }
    };
    shown.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_documents_show_the_prompt() {
    let mut command = guest(LOCAL, &["dosh", "--norc"]);
    command.env_remove("NO_COLOR").env_remove("PS1");
    let mut screen = Screen::start(command, 12, 72);
    let ends = |shown: &str, end: &str| {
        let shown = anonymous(shown);
        shown.strip_suffix('$').unwrap_or(&shown).ends_with(end)
    };
    screen.until("a prompt", |shown| shown.ends_with(['$', '#']));
    screen.types("cd /usr/lib\r");
    screen.until("a directory", |shown| shown.contains(":/usr/lib @"));
    screen.types("hcd /usr/share\r");
    screen.until("a directory on the host", |shown| ends(shown, SCENES[0].2));
    let mut captured = String::new();
    for (title, keys, end) in SCENES {
        screen.types("\x0c");
        screen.until("a cleared screen", |shown| shown.lines().count() == 2);
        screen.types(keys);
        let shown = screen.until(title, |shown| ends(shown, end));
        captured.push_str(&format!("{title}:\n\n{}\n\n", indented(&anonymous(&shown))));
    }
    if std::env::var_os("HOSTCALL_CAPTURE").is_some() {
        fs::write(CAPTURE, &captured).expect("written");
    }
    let documented = fs::read_to_string(CAPTURE).unwrap_or_default();
    assert!(
        documented == captured,
        "docs/dosh-prompt.txt is not\n{captured}HOSTCALL_CAPTURE=1 writes it"
    );
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn without_user_or_terminal_it_names_the_user_and_writes_plain_text() {
    let script =
        "printf 'PS1=\"\\\\u> \"\\ntrue\\n' | env -u USER TERM=xterm \"$0\" --norc -i 2>&1; id -un";
    let mut command = std::process::Command::new("sh");
    let dosh = hostcall_tests::daemon::program("dosh");
    let output = command.args(["-c", script]).arg(dosh).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let user = said.lines().next_back().unwrap();
    assert!(said.contains(&format!("{user}> ")), "{said}");
    assert!(!said.contains('\x1b'), "{said:?}");
}

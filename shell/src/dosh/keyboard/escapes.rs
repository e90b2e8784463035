//! Backslash escapes of prompts: the usual ones of bash.

use crate::dosh::shell::Shell;
use crate::dosh::syntax::tree::Bytes;

/// Puts what escapes mean in their place. What comes from elsewhere is quoted: the text's parameters are expanded behind it.
pub fn decode(shell: &Shell, text: &[u8]) -> Bytes {
    let mut decoded = Bytes::new();
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            decoded.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => decoded.push(b'\n'),
            Some(b'e') => decoded.push(0x1b),
            Some(b'a') => decoded.push(7),
            // The editor knows by itself which characters are not seen.
            Some(b'[' | b']') => {}
            Some(b'$') => {
                let root = nix::unistd::geteuid().is_root();
                quote(&mut decoded, if root { b"#" } else { b"$" });
            }
            Some(b'j') => decoded.extend(shell.jobs.all().len().to_string().bytes()),
            Some(b'u') => quote(&mut decoded, &user(shell)),
            Some(letter @ (b'h' | b'H')) => {
                let name = nix::unistd::gethostname().unwrap_or_default();
                let name = name.to_string_lossy().into_owned();
                let short = name.split('.').next().unwrap_or_default();
                let name = if letter == b'h' { short } else { &name };
                quote(&mut decoded, name.as_bytes());
            }
            Some(b'w') => quote(&mut decoded, &directory(shell)),
            Some(b'W') => {
                let directory = directory(shell);
                let last = directory.rsplit(|byte| *byte == b'/').next();
                let last = last.filter(|last| !last.is_empty());
                quote(&mut decoded, last.unwrap_or(b"/"));
            }
            Some(other) => decoded.extend([b'\\', other]),
            None => decoded.push(b'\\'),
        }
    }
    decoded
}

/// `$USER`, or who the password database says the shell runs for.
fn user(shell: &Shell) -> Bytes {
    match shell.variables.get(b"USER") {
        Some(name) if !name.is_empty() => name.to_vec(),
        _ => nix::unistd::User::from_uid(nix::unistd::geteuid())
            .ok()
            .flatten()
            .map_or_else(Bytes::new, |user| user.name.into_bytes()),
    }
}

fn directory(shell: &Shell) -> Bytes {
    let directory = shell.variables.get(b"PWD").unwrap_or(b".");
    let home = shell.variables.get(b"HOME").filter(|home| home.len() > 1);
    let below = home.and_then(|home| directory.strip_prefix(home));
    match below {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => [b"~", rest].concat(),
        _ => directory.to_vec(),
    }
}

fn quote(decoded: &mut Bytes, text: &[u8]) {
    for byte in text {
        if matches!(byte, b'$' | b'`' | b'\\') {
            decoded.push(b'\\');
        }
        decoded.push(*byte);
    }
}

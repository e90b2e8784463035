//! `hostd status` for people.

use crate::server::admin::{GuestStatus, Status};
use crate::server::complaints::printable;
use std::fmt::Write;

/// A hostd and its guests, a few lines each.
pub fn text(status: &Status) -> String {
    let mut text = format!("hostd {}\n", status.pid);
    for guest in &status.guests {
        // Writing to a string cannot fail.
        let _ = describe(guest, &mut text);
    }
    text
}

fn describe(guest: &GuestStatus, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "  guest {} ({}), calls run as {}",
        guest.name, guest.attach, guest.user
    )?;
    let exports: Vec<String> = guest
        .exports
        .iter()
        .map(|export| format!("{} {}", export.path.display(), export.mode))
        .collect();
    writeln!(text, "    exports:  {}", exports.join(", "))?;
    if let Some(report) = &guest.confinement {
        writeln!(text, "    confined: {report}")?;
    }
    if let Some(error) = &guest.failed {
        writeln!(text, "    NOT SERVED: {error}")?;
    }
    writeln!(
        text,
        "    sessions: {} (and {} spare shadows), {} shared files",
        guest.sessions.len(),
        guest.spares,
        guest.shared_files
    )?;
    let number = |pid: Option<i32>| pid.map_or("?".to_owned(), |pid| pid.to_string());
    for session in &guest.sessions {
        writeln!(
            text,
            "      shadow {} of process {}: {}{}, {} lanes, {} calls ({} errors), {} s",
            number(session.shadow),
            number(session.process),
            session.state,
            if session.view == guest.view {
                ""
            } else {
                " with earlier exports"
            },
            session.lanes,
            session.calls,
            session.errors,
            session.seconds
        )?;
    }
    if !guest.jobs.is_empty() {
        writeln!(text, "    programs: {}", guest.jobs.len())?;
    }
    for job in &guest.jobs {
        let command = job.arguments.join(" ");
        writeln!(
            text,
            "      program {} of process {}: {}, {} bytes in, {} out, {} s: {}",
            number(job.pid),
            number(job.process),
            job.state,
            job.bytes_in,
            job.bytes_out,
            job.seconds,
            printable(&command)
        )?;
    }
    let calls: Vec<String> = guest
        .calls
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if !calls.is_empty() {
        writeln!(text, "    calls:    {}", calls.join(", "))?;
    }
    Ok(())
}

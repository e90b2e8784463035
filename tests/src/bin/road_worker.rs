//! `road_worker [syncs]`: a process that does to files what the lines of its standard input say; see `roads/act.rs`.
#![deny(unsafe_code)]

use hostcall_tests::roads::act::Acts;
use std::io::{BufRead, Write};

fn main() {
    let mut acts = Acts::new(std::env::args().nth(1).as_deref() == Some("syncs"));
    let (input, mut output) = (std::io::stdin().lock(), std::io::stdout());
    for line in input.lines().map_while(Result::ok) {
        let answer = acts.act(&line);
        if writeln!(output, "{answer}")
            .and_then(|()| output.flush())
            .is_err()
        {
            return;
        }
    }
}

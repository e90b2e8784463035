//! Execution: lists, AND-OR lists, and what a failure means (XCU 2.8, 2.9).

mod assignment;
mod compound;
mod condition;
mod function;
mod host;
mod pipeline;
mod redirect;
mod search;
mod simple;
mod trace;

use super::shell::{Flow, Run, Shell};
use super::syntax::tree::{AndOr, Command, Connector, Kind, List, Pipeline};
use super::traps::ERR;
use super::{sys, timing};

impl Shell {
    /// Runs a list. `last`: the process has nothing to do behind it, so a program can take its place.
    pub fn list(&mut self, list: &List, last: bool) -> Run {
        if list.0.is_empty() {
            self.status = 0;
        }
        for (at, item) in list.0.iter().enumerate() {
            if self.options.noexec() && !self.interactive {
                return Ok(());
            }
            self.run_pending_traps()?;
            match item.background {
                true => self.start_background(&item.and_or)?,
                false => self.and_or(&item.and_or, last && at + 1 == list.0.len())?,
            }
        }
        self.run_pending_traps()
    }

    pub fn and_or(&mut self, and_or: &AndOr, last: bool) -> Run {
        let Some((_, rest)) = and_or.rest.split_last() else {
            return self.pipeline(&and_or.first, last);
        };
        self.guarded(|shell| shell.pipeline(&and_or.first, false))?;
        self.run_pending_traps()?;
        for (connector, pipeline) in rest {
            if self.goes_on(*connector) {
                self.guarded(|shell| shell.pipeline(pipeline, false))?;
                self.run_pending_traps()?;
            }
        }
        if let Some((connector, pipeline)) = and_or.rest.last() {
            if self.goes_on(*connector) {
                self.pipeline(pipeline, last)?;
            }
        }
        Ok(())
    }

    fn goes_on(&self, connector: Connector) -> bool {
        (connector == Connector::And) == (self.status == 0)
    }

    /// Runs what may fail without ending the shell.
    pub fn guarded<T>(&mut self, run: impl FnOnce(&mut Shell) -> Run<T>) -> Run<T> {
        self.guard += 1;
        let result = run(self);
        self.guard -= 1;
        result
    }

    fn pipeline(&mut self, pipeline: &Pipeline, last: bool) -> Run {
        let started = pipeline.timed.map(timing::Started::start);
        let last = last && !pipeline.negated && pipeline.timed.is_none();
        let run = |shell: &mut Shell| match &pipeline.stages[..] {
            [] => Ok(()),
            [command] => shell.alone(pipeline, command, last),
            stages => shell.piped(stages, &pipeline.text),
        };
        match pipeline.negated {
            true => {
                let result = self.guarded(run);
                if let Err(Flow::Break(_) | Flow::Continue(_)) = result {
                    self.status = i32::from(self.status == 0);
                }
                result?;
            }
            false => run(self)?,
        }
        if let Some(started) = started {
            let _ = sys::write_all(2, started.report().as_bytes());
        }
        if pipeline.negated {
            self.status = i32::from(self.status == 0);
            return Ok(());
        }
        match &pipeline.stages[..] {
            [command] if !can_fail(command) => Ok(()),
            _ => self.check_failure(),
        }
    }

    fn alone(&mut self, pipeline: &Pipeline, command: &Command, last: bool) -> Run {
        self.command(command, &pipeline.text, last)?;
        self.pipe_status.clear();
        self.pipe_status.push(self.status);
        Ok(())
    }

    /// After a command: a failure runs the trap on ERR, and ends the shell under `set -e`.
    fn check_failure(&mut self) -> Run {
        if self.status == 0 || self.guard > 0 {
            return Ok(());
        }
        let inherits = self.depth <= self.traps.error_depth || self.options.errtrace();
        if let Some(action) = self.traps.action(ERR).filter(|_| inherits).cloned() {
            self.guarded(|shell| shell.run_trap(&action))?;
        }
        match self.options.errexit() {
            true => Err(Flow::Exit(self.status)),
            false => Ok(()),
        }
    }
}

/// Whether the command's own failure counts: in the others, a command inside has counted already.
fn can_fail(command: &Command) -> bool {
    matches!(
        command.kind,
        Kind::Simple(_) | Kind::Subshell(_) | Kind::Arithmetic(_) | Kind::Condition(_)
    )
}

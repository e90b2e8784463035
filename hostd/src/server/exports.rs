//! Exports that change while a guest is served.
//!
//! A process's view cannot change under it, so the change makes a new view: a second zygote is confined by the changed
//! policy, and once it stands ready it takes the first one's place. New sessions get the new view; those that live keep
//! the one they have until they end, and with it their open files. If the new view cannot be made, nothing has changed.

use super::guest::{Door, Guest, State};
use super::poller::{Key, Poller, Source};
use super::zygote::Zygote;
use crate::config::{Change, Export};
use crate::message::{FromZygote, ToShadow};
use crate::shadow::sandbox::{Policy, Report};
use serde::{Deserialize, Serialize};
use std::io::Result;

/// The outcome of a question about exports: what is exported now, or why nothing has changed.
pub type Outcome = std::result::Result<Vec<Export>, String>;

/// A change that a tool asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Whose exports.
    pub guest: String,
    /// The change.
    pub change: Change,
    /// Ends the sessions that have an older view.
    pub now: bool,
}

/// The zygote of a view in the making.
#[derive(Debug)]
pub struct Successor {
    zygote: Zygote,
    policy: Policy,
    now: bool,
    /// Who waits for the outcome.
    tool: Key,
}

impl Successor {
    /// Ends it; nothing has changed.
    pub(super) fn abandon(self, poller: &mut Poller) {
        self.zygote.end(poller);
    }
}

impl Guest {
    /// Begins to make a view with changed exports; the outcome comes by [`hear_successor`](Guest::hear_successor).
    ///
    /// # Errors
    /// Why there is nothing to begin.
    pub fn change_exports(
        &mut self,
        request: &Request,
        tool: Key,
        poller: &mut Poller,
    ) -> std::result::Result<(), String> {
        if self.successor.is_some() {
            return Err("another change of these exports is under way; try again".to_owned());
        }
        let policy = Policy {
            exports: request.change.apply(&self.policy.exports)?,
            ..self.policy.clone()
        };
        let source = Source::Successor { guest: self.index };
        let zygote = self
            .make_zygote(&policy, self.view.wrapping_add(1), source, poller)
            .map_err(|error| format!("cannot make the new view: {error}"))?;
        self.successor = Some(Successor {
            zygote,
            policy,
            now: request.now,
            tool,
        });
        Ok(())
    }

    /// Hears the zygote of the view in the making; once it is decided, the outcome and who waits for it.
    pub fn hear_successor(&mut self, poller: &mut Poller) -> Result<Option<(Key, Outcome)>> {
        let Some(successor) = &self.successor else {
            return Ok(None);
        };
        let heard = successor.zygote.hear();
        if matches!(&heard, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock) {
            return Ok(None);
        }
        let Some(successor) = self.successor.take() else {
            return Ok(None);
        };
        let tool = successor.tool;
        let error = match heard {
            Ok((FromZygote::Ready { report }, _)) => {
                self.succeed(successor, report, poller)?;
                return Ok(Some((tool, Ok(self.policy.exports.clone()))));
            }
            Ok((FromZygote::Failed { error }, _)) => error,
            Ok(_) | Err(_) => "the new view's zygote ends as soon as it is started".to_owned(),
        };
        successor.abandon(poller);
        Ok(Some((tool, Err(error))))
    }

    fn succeed(&mut self, successor: Successor, report: Report, poller: &mut Poller) -> Result<()> {
        log::info!("guest {}: new exports: {report}", self.name);
        self.end_zygote(poller);
        let unused: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| matches!(session.state, State::Starting | State::Spare))
            .map(|(slot, _)| *slot)
            .collect();
        unused
            .into_iter()
            .for_each(|slot| self.end_session(slot, poller));
        self.config.exports.clone_from(&successor.policy.exports);
        self.policy = successor.policy;
        self.view = self.view.wrapping_add(1);
        (self.report, self.failed) = (Some(report), None);
        let source = Source::Zygote { guest: self.index };
        self.zygote = Some(successor.zygote.known_as(source, poller));
        self.breed(poller)?;
        let older: Vec<u32> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.view != self.view)
            .map(|(slot, _)| *slot)
            .collect();
        if successor.now {
            older
                .into_iter()
                .for_each(|slot| self.end_session(slot, poller));
        } else if matches!(self.door, Door::Socket { .. }) {
            let message = ToShadow::View { view: self.view };
            older
                .into_iter()
                .for_each(|slot| self.tell(slot, &message, &[], poller));
        }
        // Last: from here on whoever sees the count finds the new view.
        self.announce();
        Ok(())
    }
}

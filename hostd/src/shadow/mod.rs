//! Shadows: the host processes that stand for guest processes, and how they are made and confined.

pub mod fdtable;
pub mod follow;
mod gate;
pub mod holds;
pub mod hostd;
mod import;
pub mod jobs;
mod kicks;
pub mod lane;
pub mod lifeline;
pub mod offered;
mod prepare;
mod renewal;
pub mod sandbox;
pub mod session;
pub mod starts;
mod stay;
pub mod streams;
pub mod title;
pub mod zygote;

/// Shadows that stand ready, so that attaching does not wait for a fork.
pub const SPARES: u32 = 4;

/// Shadows that stand ready at most: those of ended processes serve others, so that one process after another costs no fork.
pub const MOST_SPARES: u32 = 2 * SPARES;

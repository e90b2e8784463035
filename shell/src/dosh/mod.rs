//! `dosh`: a shell whose pipelines span two operating systems.
//!
//! Text becomes a tree once ([`syntax`]), whose words are expanded ([`expand`]) and whose commands are run ([`run`]) by a
//! [`shell::Shell`]: real processes for each stage of a pipeline and each subshell, built-in commands ([`builtins`]) in the shell
//! itself. [`sys`] alone speaks to the kernel by numbers.

mod builtins;
mod expand;
mod explain;
mod host;
mod ifs;
mod input;
mod invocation;
mod jobs;
mod keyboard;
mod made_up;
pub mod manual;
mod options;
mod plan;
mod regex;
mod run;
mod shell;
mod signals;
mod stack;
mod syntax;
mod sys;
mod timing;
mod traps;
mod variables;

pub use invocation::main;

//! From text to [`tree`]: a parser over bytes that takes one complete command at a time.

mod alias;
pub mod arithmetic;
mod brace;
mod compound;
mod condition;
pub mod contains;
mod dollar;
pub mod parser;
pub mod quoting;
mod redirect;
mod shape;
pub mod source;
pub mod token;
pub mod tree;
mod word;

pub use parser::{Aliases, SyntaxError};

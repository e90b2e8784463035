//! The hooked functions, by family.

mod beneath;
mod dir;
mod libio;
mod map;
mod scan;
mod slots;
mod stdio;
mod walk;

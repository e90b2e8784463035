//! Three roads to the same files, tried against each other: the shim, the mount, and the host's own calls.
//!
//! A run is a list of [steps](step), each an act by one road and what is looked at afterwards by all of them. Every act is
//! also made in a directory that no guest sees, the reference; so a look must show on each road what it shows there.

pub mod act;
pub mod party;
pub mod step;

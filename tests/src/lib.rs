//! What the tests share: an own hostd for each test, a hostile peer, and calls made from the op table.
#![deny(unsafe_code)]

<<<<<<< ours
pub mod actor;
pub mod canaries;
pub mod cases;
=======
pub mod canaries;
>>>>>>> theirs
pub mod confined;
pub mod daemon;
pub mod generator;
pub mod half;
<<<<<<< ours
pub mod native;
=======
>>>>>>> theirs
pub mod peer;
pub mod random;
pub mod run;
pub mod short;
pub mod snapshot;
pub mod tree;
pub mod way;
pub mod witness;

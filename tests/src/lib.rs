//! What the tests share: an own hostd for each test, a hostile peer, and calls made from the op table.
#![deny(unsafe_code)]

<<<<<<< ours
<<<<<<< ours
=======
pub mod actor;
pub mod cases;
>>>>>>> theirs
pub mod confined;
=======
pub mod canaries;
>>>>>>> theirs
pub mod daemon;
pub mod generator;
<<<<<<< ours
pub mod half;
=======
pub mod native;
>>>>>>> theirs
pub mod peer;
pub mod random;
pub mod run;
pub mod short;
pub mod snapshot;
pub mod tree;
pub mod way;
pub mod witness;

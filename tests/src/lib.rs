//! What the tests share: an own hostd for each test, a hostile peer, and calls made from the op table.
#![deny(unsafe_code)]

pub mod actor;
pub mod alarm;
pub mod asked;
pub mod canaries;
pub mod cases;
pub mod confined;
pub mod conform;
pub mod daemon;
pub mod differential;
pub mod fsx;
pub mod generator;
pub mod guest;
pub mod half;
pub mod launch;
pub mod machine;
pub mod mount;
pub mod mounted;
pub mod native;
pub mod outside;
pub mod peer;
pub mod people;
pub mod permissions;
pub mod pjdfstest;
pub mod programs;
pub mod random;
pub mod roads;
pub mod run;
pub mod short;
pub mod shown;
pub mod snapshot;
pub mod soon;
pub mod tree;
pub mod typist;
pub mod way;
pub mod witness;

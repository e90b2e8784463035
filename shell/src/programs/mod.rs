//! The programs: one image under several names. Under any other name than these it runs the host's program of that name.

pub mod hcd;
pub mod hpath;
pub mod hpwd;
pub mod hrun;

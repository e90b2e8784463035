//! The programs: one image under several names. Under any other name than these it runs the host's program of that name.

pub mod hcd;
pub mod hpath;
pub mod hpwd;
pub mod hrun;

use crate::signals;
use crate::streams::kind;

/// What the standard library's runtime would have done for a program that begins without it.
pub fn begin() {
    kind::fill_missing();
    signals::ignore_broken_pipes();
}

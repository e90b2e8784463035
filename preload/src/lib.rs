//! LD_PRELOAD library that turns libc file calls under a prefix into host calls.
#![deny(unsafe_code)]

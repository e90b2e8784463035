//! What a process does for itself while it attaches.

/// What whoever attaches does for it.
pub trait Attaching {
    /// Done while the host makes ready, if it is asked at all.
    fn meanwhile(&mut self) {}

    /// Frees numbers of descriptors for the files that come with the host's answer, of which at least one has found none; whether it
    /// could.
    fn make_room(&mut self) -> bool {
        false
    }
}

/// Nothing at all.
impl Attaching for () {}

//! x
/// x
pub const ARENA: usize = 512 << 10;

//! How a program with a session of its own gets the host file behind one of its descriptors: an ioctl(2), which the preload
//! library answers for its files and the kernel passes on to hostfs for files of the mount.

use crate::types::Token;

/// The request: `_IOR('h', 0x68, [u8; 24])`, ioctl(2).
pub const REQUEST: u32 = 2 << 30 | (Handout::SIZE as u32) << 16 | (b'h' as u32) << 8 | 0x68;

/// What is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handout {
    /// To be redeemed once, for the same open file description.
    pub token: Token,
    /// Whether the file's position is the host's. Else the guest kernel has it, and `O_APPEND` as well.
    pub shared: bool,
}

impl Handout {
    /// Bytes that the request writes.
    pub const SIZE: usize = 24;

    /// As they are written.
    pub fn to_bytes(self) -> [u8; Handout::SIZE] {
        let mut bytes = [0; Handout::SIZE];
        let [first, second] = self.token.0;
        bytes[..8].copy_from_slice(&first.to_ne_bytes());
        bytes[8..16].copy_from_slice(&second.to_ne_bytes());
        bytes[16] = self.shared.into();
        bytes
    }

    /// Reads them.
    pub fn from_bytes(bytes: &[u8; Handout::SIZE]) -> Handout {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(word)
        };
        Handout {
            token: Token([word(0), word(8)]),
            shared: bytes[16] != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handouts_round_trip() {
        for shared in [false, true] {
            let token = Token([1, u64::MAX - 1]);
            let handout = Handout { token, shared };
            assert_eq!(Handout::from_bytes(&handout.to_bytes()), handout);
        }
        assert_eq!(REQUEST, 0x8018_6868);
    }
}

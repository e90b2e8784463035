//! Random numbers that can be repeated: a failing test prints its seed.

/// A splitmix64 generator.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// `$HOSTCALL_SEED`, or the given seed; printed, so that a failure can be repeated.
    pub fn announced(default: u64) -> Random {
        let seed = std::env::var("HOSTCALL_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(default);
        println!("HOSTCALL_SEED={seed}");
        Random(seed)
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound.max(1) as u64) as usize
    }

    /// One of several values.
    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// True once in `n` times.
    pub fn chance(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A word of the kind that breaks bounds: edges of widths, signs and sizes, or anything.
    pub fn hostile(&mut self) -> u64 {
        let edge = self.one_of(&[0, 1, 4, 8, 31, 32, 63]);
        match self.below(6) {
            0 => self.word(),
            1 => self.word() & 0xff,
            2 => (1u64 << edge).wrapping_sub(1),
            3 => (1u64 << edge).wrapping_add(self.word() & 3),
            4 => u64::MAX - (self.word() & 7),
            _ => self
                .one_of(&[
                    hostcall::region::CHUNK as u64,
                    hostcall::region::ARENA as u64,
                    4096,
                    1 << 31,
                    1 << 63,
                ])
                .wrapping_add(self.word() % 3)
                .wrapping_sub(1),
        }
    }
}

//! `IFS` as field splitting reads it (XCU 2.6.5).

/// What a byte does to an unquoted expansion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separates {
    No,
    /// White space of `IFS`: neighbours are one separator.
    Blank,
    /// Ends a field each time.
    Mark,
}

pub struct Ifs {
    table: [Separates; 256],
    /// What joins the fields of `"$*"`.
    pub first: Option<u8>,
}

impl Default for Ifs {
    fn default() -> Ifs {
        Ifs::new(None)
    }
}

impl Ifs {
    /// Of the variable's value; unset means blank, tab and newline.
    pub fn new(value: Option<&[u8]>) -> Ifs {
        let value = value.unwrap_or(b" \t\n");
        let mut table = [Separates::No; 256];
        for byte in value {
            table[usize::from(*byte)] = match byte {
                b' ' | b'\t' | b'\n' => Separates::Blank,
                _ => Separates::Mark,
            };
        }
        Ifs {
            table,
            first: value.first().copied(),
        }
    }

    pub fn separates(&self, byte: u8) -> Separates {
        self.table[usize::from(byte)]
    }
}

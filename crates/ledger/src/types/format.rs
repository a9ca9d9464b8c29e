//! The versions of a chain's formats.

use std::fmt;

/// A version of the formats of headers, and of signed and stored data. A network begins with the version in its
/// genesis; a vote of the committee begins a later one, in the block that enacts it.
///
/// | version | headers | records |
/// |---|---|---|
/// | 1 | without a state root | version 1 |
/// | 2 | with a state root | version 1 |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum FormatVersion {
    /// Headers cover the balance sheet and a block's changes.
    One = 1,
    /// Headers cover the whole state.
    Two = 2,
}

impl FormatVersion {
    /// The newest version that this program knows.
    pub const NEWEST: FormatVersion = FormatVersion::Two;

    /// The version with a number, if this program knows it.
    pub fn from_number(number: u8) -> Option<FormatVersion> {
        match number {
            1 => Some(FormatVersion::One),
            2 => Some(FormatVersion::Two),
            _ => None,
        }
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}

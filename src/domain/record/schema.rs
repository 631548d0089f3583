//! Which forms of what is stored a cluster uses.

use std::fmt;

/// A version of the stored forms: the commands, fields and tables that may be used. A cluster has one, replicated, and it
/// only rises, by a command, once all members have promised to understand the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Schema(pub u64);

impl Schema {
    /// What a cluster starts with.
    pub const FIRST: Self = Self(1);
    /// The newest that this program knows.
    pub const NEWEST: Self = Self(1);
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

super::declare::transparent!(Schema, u64);

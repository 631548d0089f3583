//! Which forms of what is stored a cluster uses.

use std::fmt;

use crate::domain::Fault;

/// A version of the stored forms: the commands, fields and tables that may be used. A cluster has one, replicated, and it
/// only rises, by a command, once all members have promised to understand the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Schema(pub u64);

impl Schema {
    /// What a cluster starts with.
    pub const FIRST: Self = Self(1);
    /// The newest that this program knows.
    pub const NEWEST: Self = if cfg!(feature = "next-schema") { Self(2) } else { Self::FIRST };

    /// The example of a next one.
    #[cfg(feature = "next-schema")]
    pub const SECOND: Self = Self(2);

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The fault of a program that meets a schema which it does not know.
    pub(crate) fn unknown(self, place: &str) -> Fault {
        Fault(format!(
            "{place} is of schema {self}, and this release knows {}: start the release that the other directory nodes run, \
             or a newer one",
            Self::NEWEST
        ))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Default for Schema {
    fn default() -> Self {
        Self::FIRST
    }
}

super::declare::transparent!(Schema, u64);

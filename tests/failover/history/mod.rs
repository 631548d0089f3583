//! What clients did, and whether one copy of the files, changed by one request after the other, could have answered so.
//!
//! Clients work in *places*: directories with a few files each, which they share. Nothing that is asked crosses from
//! one place to another, so each is judged by itself (linearizability is local: Herlihy & Wing, "Linearizability",
//! TOPLAS 1990).

mod check;
mod explain;
mod model;
mod record;
mod tests;

use serde::Serialize;

pub(crate) use check::check;
pub(crate) use record::Record;

/// Microseconds since the record was begun.
pub(crate) type Moment = u64;
/// The first eight bytes of a content's SHA-256. No two changes store the same content, so it tells which one did.
pub(crate) type Tag = u64;

/// How many files a place has.
pub(crate) const SLOTS: usize = 3;
/// Their names.
pub(crate) const NAMES: [&str; SLOTS] = ["a", "b", "c"];

/// One request, from the moment before it was sent to the moment after its answer, repeats by the client included.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Op {
    pub(crate) client: u32,
    pub(crate) place: u32,
    pub(crate) act: Act,
    pub(crate) invoked: Moment,
    /// Of an unknown outcome: when the client gave up. It may take effect at any time after `invoked`.
    pub(crate) returned: Moment,
    pub(crate) outcome: Outcome,
}

/// What was asked. A lock's token is named by its fence.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    Write {
        slot: usize,
        tag: Tag,
    },
    /// `if_match` is a file id and a version.
    Update {
        slot: usize,
        tag: Tag,
        if_match: Option<(u64, u64)>,
        token: Option<u64>,
    },
    Delete {
        slot: usize,
        token: Option<u64>,
    },
    Move {
        from: usize,
        to: usize,
        token: Option<u64>,
    },
    /// A new file with the content of another.
    Copy {
        from: usize,
        to: usize,
    },
    Lock {
        slot: usize,
        ttl: Moment,
    },
    Renew {
        token: u64,
        ttl: Moment,
    },
    Unlock {
        token: u64,
    },
    Read {
        slot: usize,
    },
    Stat {
        slot: usize,
    },
    List,
}

#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Of a change of content or name: the file afterwards. Of a read: what was read.
    File(Seen),
    /// Of `/stat`: with the fence of the lock.
    Stat(Seen, Option<u64>),
    /// Of `/list`, for each slot.
    Listing([Option<(Seen, Option<u64>)>; SLOTS]),
    /// A lock was given or renewed.
    Fence(u64),
    Done,
    Refused(Refusal),
    /// The client was told that nothing was done. That says nothing about the files.
    NotDone,
    /// The client gave up. It has happened, or will, or never does.
    Unknown,
}

#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    /// 404
    NotFound,
    /// 409
    Exists,
    /// 423
    Locked,
    /// 412
    Conflict,
}

/// One version of one file.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) version: u64,
    pub(crate) tag: Tag,
}

impl Act {
    /// The slots that it looks at or changes, as bits. A token may belong to a lock on any of them.
    fn slots(&self) -> u32 {
        match self {
            Self::Write { slot, .. }
            | Self::Update { slot, .. }
            | Self::Delete { slot, .. }
            | Self::Lock { slot, .. }
            | Self::Read { slot }
            | Self::Stat { slot } => 1 << slot,
            Self::Move { from, to, .. } | Self::Copy { from, to } => 1 << from | 1 << to,
            Self::Renew { .. } | Self::Unlock { .. } | Self::List => (1 << SLOTS) - 1,
        }
    }

    /// Whether it may change anything.
    pub(crate) fn changes(&self) -> bool {
        !matches!(self, Self::Read { .. } | Self::Stat { .. } | Self::List)
    }

    /// The content that it stores.
    fn tag(&self) -> Option<Tag> {
        match self {
            Self::Write { tag, .. } | Self::Update { tag, .. } => Some(*tag),
            _ => None,
        }
    }
}

impl Outcome {
    pub(crate) fn is_success(&self) -> bool {
        matches!(self, Self::File(_) | Self::Stat(..) | Self::Listing(_) | Self::Fence(_) | Self::Done)
    }
}

//! Contents, and the extents that they are made of. Names never reach down here, and servers never reach further up: a
//! repair rewrites rows of this page alone, and a copy of a file is one more reference.

use super::{BlobId, ContentId, FileId, Pieces, Replica, Sha256};
use crate::domain::record::declare::{choice, numbered, record};
use crate::domain::{CopyId, ExtentAt};

record! {
    /// An immutable run of bytes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Content as "content" {
        /// The file that it was stored for, which may be gone or name another by now: for people to see alone.
        pub made_for: FileId = 1,
        /// How many versions, uploads, parts and pieces name it.
        pub refs: u64 = 2,
        pub state: ContentState = 3,
        pub layout: Layout = choice,
        /// The upload, and so the content, of which it is a part: nothing else ever names it.
        pub part_of: Option<ContentId> = 7,
    }
}

numbered! {
    /// Dead is for good: nothing names it any more, and nothing will.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ContentState as "state of a content" {
        /// An upload adds to it.
        Open = 1,
        Sealed = 2,
        Dead = 3,
    }
}

choice! {
    /// Where the extents are.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Layout as "layout of a content" {
        /// Here: there is one.
        One(Extent) = 4,
        /// In rows of their own.
        Many(Run) = 5,
        /// In those of other contents.
        Pieces(Pieces) = 6,
    }
}

record! {
    /// What the extents of a content are together.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Run as "run of extents" {
        pub size: u64 = 1,
        /// Nothing where the bytes came in parts.
        pub sha256: Option<Sha256> = 2,
        pub extents: u64 = 3,
    }
}

record! {
    /// One run of a content's bytes: one blob, and which copies of it there are.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Extent as "extent" {
        pub blob_id: BlobId = 1,
        pub size: u64 = 2,
        pub sha256: Sha256 = 3,
        /// The first one is the record's primary, whether or not it counts at the moment.
        pub replicas: Vec<Replica> = 4,
        /// Raised by every change of `replicas`.
        pub placement_rev: u64 = 5,
        /// How many copies counted when it came on the list of repairs, which is its place there; nothing where it is not on
        /// the list.
        pub owed: Option<u32> = 6,
    }
}

impl Content {
    pub fn size(&self) -> u64 {
        match &self.layout {
            Layout::One(extent) => extent.size,
            Layout::Many(run) => run.size,
            Layout::Pieces(pieces) => pieces.size,
        }
    }

    /// Nothing where the bytes came in parts.
    pub fn sha256(&self) -> Option<Sha256> {
        match &self.layout {
            Layout::One(extent) => Some(extent.sha256),
            Layout::Many(run) => run.sha256,
            Layout::Pieces(_) => None,
        }
    }

    pub fn extents(&self) -> u64 {
        match &self.layout {
            Layout::One(_) => 1,
            Layout::Many(run) => run.extents,
            Layout::Pieces(pieces) => pieces.extents,
        }
    }

    pub fn is_dead(&self) -> bool {
        self.state == ContentState::Dead
    }
}

record! {
    /// Which extent a server's copy of a blob belongs to, and which copy it is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Placement as "placement" {
        pub at: ExtentAt = 1,
        pub copy_id: CopyId = 2,
    }
}

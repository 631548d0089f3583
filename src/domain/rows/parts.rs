//! Uploads in parts, and the contents of pieces that they become.

use super::{ContentId, Sha256, WallTime};
use crate::domain::record::declare::record;

record! {
    /// What the pieces of a content are together.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Pieces as "pieces" {
        pub size: u64 = 1,
        pub pieces: u64 = 2,
        /// Of all of them.
        pub extents: u64 = 3,
    }
}

record! {
    /// One run of a content that is made of others: one of these, whole. It is no content of pieces itself, so that no read
    /// goes deeper.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Piece as "piece" {
        pub content_id: ContentId = 1,
        pub size: u64 = 2,
    }
}

record! {
    /// One part of an upload.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Part as "part" {
        pub content_id: ContentId = 1,
        pub size: u64 = 2,
        pub sha256: Sha256 = 3,
        pub put_at: WallTime = 4,
    }
}

record! {
    /// What an upload in parts has beside what every upload has.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Parts as "parts of an upload" {
        /// Raised by every part that comes: whoever has looked at all of them says as of when.
        pub revision: u64 = 1,
        /// How many there are that are no pieces yet.
        pub count: u64 = 2,
        /// Of these and of the pieces.
        pub bytes: u64 = 3,
        pub completing: Option<Completing> = 4,
    }
}

record! {
    /// An upload whose parts are being put together. From here on nothing else becomes of it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Completing as "completion of an upload" {
        /// Of the list of parts.
        pub digest: Sha256 = 1,
        /// How many the list has, and what they come to.
        pub pieces: u64 = 2,
        pub size: u64 = 3,
        /// Parts up to this number have become pieces or were left out.
        pub through: u32 = 4,
    }
}

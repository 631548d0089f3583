//! What comes in more than one piece, and what long reads keep.

use super::{ClusterTime, Parts, UserId, WallTime};
use crate::domain::record::declare::record;
use crate::domain::terms::Purpose;

record! {
    /// An upload that has not come to its end. Its key names who sends it, and the content that it becomes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Upload as "upload" {
        /// At most 255 bytes.
        pub content_type: String = 1,
        /// The size of the whole, where the client has said it.
        pub length: Option<u64> = 2,
        /// The state of the SHA-256 over all that is in extents, so that any node can go on: as `sha2` serializes it. Empty
        /// where it comes in parts.
        pub hash: Vec<u8> = 3,
        /// What came behind the last extent and is too little for one: at most 63 bytes.
        pub tail: Vec<u8> = 4,
        /// It ends when nothing was added for so long…
        pub idle_ms: u64 = 5,
        /// …and in any case a week after this.
        pub since: ClusterTime = 6,
        pub expires_at: ClusterTime = 7,
        pub wall_expires_at: WallTime = 8,
        pub purpose: Purpose = choice,
        /// Where it comes in parts.
        pub parts: Option<Parts> = 30,
    }
}

record! {
    /// A content that nothing names any more. Its key says when it is due.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Dead as "dead content" {
        /// Since when.
        pub(crate) since: ClusterTime = 1,
        /// What of it lies before this byte is gone.
        pub(crate) from: u64 = 2,
    }
}

record! {
    /// A user reads a content for longer than the garbage lingers: it is not reaped before the pin ends.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Pin as "pin" {
        pub user: UserId = 1,
        pub expires_at: ClusterTime = 2,
    }
}

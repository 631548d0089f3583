//! What is remembered of operations.

use super::*;

record! {
    /// The remembered outcome of an operation.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Done as "operation" {
        pub fingerprint: Sha256 = 1,
        pub expires_at: ClusterTime = 3,
        pub kept: Kept = choice,
    }
}

choice! {
    /// An answer, as far as a repeat needs it. See `remembered`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Kept as "remembered outcome" {
        Whole(Answer) = 4,
        /// The entry that the answer describes: what the request itself does not say of it.
        Entry(Box<KeptEntry>) = 5,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeptEntry as "remembered entry" {
        pub file_id: FileId = 1,
        pub access: Access = 2,
        pub created_at: WallTime = 3,
        /// Nothing where that is when it was made.
        pub modified_at: Option<WallTime> = 4,
        /// Where it was, where the request names no path.
        pub place: Option<KeptPlace> = 5,
        /// Nothing for a directory.
        pub content: Option<KeptContent> = 6,
        /// The user's own.
        pub lock: Option<KeptLock> = 7,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeptPlace as "remembered place" {
        pub owner: UserId = 1,
        pub path: FilePath = 2,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeptContent as "remembered content" {
        pub version: Version = 1,
        pub content_id: ContentId = 2,
        /// Of the replicas, in the record's order.
        pub servers: Vec<ServerId> = 3,
        /// Those of them that did not count.
        pub uncounted: Vec<ServerId> = 4,
        /// Where the request does not bring the content.
        pub told: Option<ToldContent> = 5,
        /// Nothing where there is one.
        pub extents: Option<u64> = 6,
    }
}

record! {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ToldContent as "told content" {
        pub size: u64 = 1,
        pub sha256: Option<Sha256> = 2,
        pub content_type: String = 3,
    }
}

record! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeptLock as "remembered lock" {
        pub fence: Fence = 1,
        pub expires_at: WallTime = 2,
    }
}

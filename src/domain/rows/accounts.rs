//! What accounts are made and kept by, beside the account itself.

use crate::domain::record::declare::record;
use crate::domain::{ClusterTime, FileId, Sha256, UserId, WallTime};

record! {
    /// An invitation to make an account: its key is the SHA-256 of what was given away.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Invite as "invitation" {
        /// The admin who made it.
        pub made_by: UserId = 1,
        pub expires_at: ClusterTime = 2,
        pub wall_expires_at: WallTime = 3,
    }
}

/// Stored in the place of a password's hash where there is no password: no hash is so.
pub const NO_PASSWORD: &str = "*";

record! {
    /// What an admin gives to a user who has no password.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OneTimeCode as "one-time code" {
        pub hash: Sha256 = 1,
        pub expires_at: ClusterTime = 2,
    }
}

record! {
    /// An account that is being removed: its key is the account.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Removal as "removal of an account" {
        /// Who gets what it had.
        pub heir: UserId = 1,
        /// What was the account's root.
        pub root: FileId = 2,
        /// Files that are the account's still, those that are doomed among them.
        pub files: u64 = 3,
        /// How far the walk below the root has come: a key of `Names`. Nothing before it began.
        pub through: Option<Vec<u8>> = 4,
        /// Everything below the root was handed over.
        pub walked: bool = 5,
    }
}

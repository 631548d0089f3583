//! Who did what to what, from where.

use crate::domain::record::declare::record;
use crate::domain::{ClusterTime, Sha256, UserId, WallTime};

record! {
    /// One change that the audit tells of: its key is its number.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuditRow as "audit" {
        pub at: ClusterTime = 1,
        pub wall: WallTime = 2,
        /// Who did it; 0 for an operator with the cluster secret.
        pub actor: UserId = 3,
        /// A word that never changes its meaning.
        pub what: String = 4,
        /// A username, a path, an id.
        pub on: String = 5,
        pub detail: String = 6,
        /// The address that the request came from.
        pub from: String = 7,
        /// SHA-256 of the row before it; zeros for the first.
        pub before: Sha256 = 8,
    }
}

record! {
    /// Where the audit stands.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AuditState as "state of the audit" {
        /// The number of the oldest row that is kept, and of the next one.
        pub first: u64 = 1,
        pub next: u64 = 2,
        /// Of the rows that are kept.
        pub bytes: u64 = 3,
        /// SHA-256 of the newest row.
        pub head: Sha256 = 4,
    }
}

impl Default for AuditState {
    fn default() -> Self {
        Self { first: 1, next: 1, bytes: 0, head: Sha256([0; 32]) }
    }
}

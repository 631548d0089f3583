//! What directories keep otherwise than the policy says.

use crate::domain::UserId;
use crate::domain::record::declare::record;

record! {
    /// A directory's own values for what is below it. A row without any is none.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Retention as "retention" {
        /// Whose tree the directory is in.
        pub owner: UserId = 1,
        /// How many older versions of a file an update keeps; 0 for none. Nothing, here and below: what counts is said further
        /// up.
        pub versions_keep: Option<u32> = 2,
        /// For how long; 0 for not at all.
        pub versions_ms: Option<u64> = 3,
        /// For how long what was deleted can be had back; 0 for not at all.
        pub trash_ms: Option<u64> = 4,
    }
}

impl Retention {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.versions_keep.is_none() && self.versions_ms.is_none() && self.trash_ms.is_none()
    }
}

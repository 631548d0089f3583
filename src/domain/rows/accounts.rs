//! What accounts are made and kept by, beside the account itself.

use crate::domain::record::declare::record;
use crate::domain::{ClusterTime, UserId, WallTime};

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

//! The keys by which file servers are known.

use crate::domain::record::declare::record;
use crate::domain::{ClusterTime, PublicKey, TokenId};

record! {
    /// The key of a file server. Its table's key is the server's UUID.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct MemberKey as "key of a file server" {
        pub key: PublicKey = 1,
        /// The join tokens that it came with and that have not ended: nobody else may come with them.
        pub used: Vec<UsedToken> = 2,
        /// The server is no member any more. The row stays for as long as one of its tokens holds.
        pub removed: bool = 3,
    }
}

record! {
    /// A join token that was used up.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct UsedToken as "used join token" {
        pub token: TokenId = 1,
        pub ends_at: ClusterTime = 2,
    }
}

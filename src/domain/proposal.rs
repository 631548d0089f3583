//! What stands in the log: a command, under whose name, and at which time.

use super::record::Record;
use super::record::declare::record;
use super::terms::Operation;
use super::{ClusterTime, Command, Fault, WallTime};

record! {
    /// One entry of the log: a proposal, and the two times that the leader stamped it with.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Stamped as "log entry" {
        pub at: ClusterTime = 1,
        pub wall: WallTime = 2,
        pub proposal: Proposal = 3,
    }
}

record! {
    /// A command and, for what users send, the name under which it takes effect at most once.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Proposal as "proposal" {
        pub operation: Option<Operation> = 1,
        pub command: Command = choice,
    }
}

impl Stamped {
    /// The bytes of a log entry.
    pub fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// # Errors
    /// When the bytes are none of ours, or hold a command that this program does not know: a node must stop there.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_bytes(bytes)
    }
}

impl Proposal {
    /// The bytes in which a follower forwards a proposal to the leader.
    pub fn encode(&self) -> Vec<u8> {
        self.to_bytes()
    }

    /// # Errors
    /// As for `Stamped::decode`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        Self::from_bytes(bytes)
    }
}

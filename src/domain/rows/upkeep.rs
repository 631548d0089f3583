//! What is to go, what keeps it, what is owed, and how far the walks have come.

use crate::domain::record::Schema;
use crate::domain::record::declare::{numbered, record};
use crate::domain::{ClusterTime, ExtentAt};

record! {
    /// A copy whose bytes are to be deleted. Its key names server, blob and copy.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Garbage as "garbage row" {
        pub since: ClusterTime = 1,
        pub deleted_at: Option<ClusterTime> = 2,
    }
}

numbered! {
    /// Why a file is owed a repair that no sweep would find.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum RepairReason as "repair reason" {
        /// It names another number of copies than the policy asks for: it was committed with fewer, because there were too few
        /// servers, or could not be given what a new policy asks for when the walk for that passed it.
        ShortWrite = 1,
        /// A copy of it failed its checksums.
        BadCopy = 2,
    }
}

record! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Repair as "repair" {
        pub reason: RepairReason = 1,
        pub since: ClusterTime = 2,
    }
}

numbered! {
    /// A walk over all files that no counter could replace.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum SweepKind as "sweep" {
        /// `copies` was changed: each file gets the copies that it lacks and loses those that are too many.
        Copies = 1,
        /// Files move from servers with many to servers with few, and backups to their primaries' successors.
        Balance = 2,
    }
}

impl SweepKind {
    pub const ALL: [Self; 2] = [Self::Copies, Self::Balance];
}

record! {
    /// How far a walk has come.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Sweep as "sweep" {
        pub since: ClusterTime = 1,
        /// All extents up to this one were looked at.
        pub through: Option<ExtentAt> = 2,
        /// Some file could not be given what it should have: there are too few servers, or one has no room.
        pub short: bool = 3,
        /// It rests: it was stopped, or another walk would find no more to do until a server joins.
        pub resting: bool = 4,
        /// It was asked for again after it had begun: another one follows.
        pub again: bool = 5 since Schema::FIRST,
    }
}

record! {
    /// A claim that keeps garbage from going until it ends.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Hold as "hold" {
        pub since: ClusterTime = 1,
        pub expires_at: ClusterTime = 2,
    }
}

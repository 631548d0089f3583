//! File servers.

use crate::domain::plant::{Plant, planted};
use crate::domain::record::Schema;
use crate::domain::record::declare::{numbered, record};
use crate::domain::{BlobId, ClusterTime, Epoch, Incarnation, Replica, ServerId, ServerUuid, WallTime};

numbered! {
    /// Where a file server stands. Suspicion is a node's own and never stored.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ServerState as "server state" {
        Up = 1,
        Down = 2,
        /// Out of the ring; its replicas count until they are moved.
        Draining = 3,
    }
}

record! {
    /// A file server.
    ///
    /// `primaries`, `backups` and `bytes` count what records name at this server *in its current epoch*, by the position
    /// in the record (the first is the primary), and `stale` what they name in older ones. A new epoch therefore starts at 0
    /// with all that was named before in `stale`; the death of a server changes no counter, since the records that name it
    /// are rewritten later, by a sweep. This keeps the counters exact under every command though a death and a return are
    /// one row of work, and it says without a scan what the sweeps have still to do.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Server as "file server" {
        pub server_id: ServerId = 1,
        pub uuid: ServerUuid = 2,
        pub url: String = 3,
        pub zone: String = 4,
        pub epoch: Epoch = 5,
        pub state: ServerState = 6,
        pub full: bool = 7,
        /// Bytes that it can hold, by its own word.
        pub capacity: u64 = 8,
        pub primaries: u64 = 9,
        pub backups: u64 = 10,
        pub bytes: u64 = 11,
        pub down_since: Option<WallTime> = 12,
        /// Replicas of older epochs that records still name: to be verified and stamped anew, or replaced.
        pub stale: u64 = 13,
        /// When it last came up, went down or began to drain.
        pub changed_at: ClusterTime = 14,
        /// How often in a row it was declared down without ten minutes up in between.
        pub flaps: u32 = 15,
        /// The last registration's; nothing where it never sent one.
        pub incarnation: Option<Incarnation> = 16,
        /// It is to be emptied: it drains, or was draining when it was declared down.
        pub leaving: bool = 17,
        /// The one before: a registration that comes late is told by it.
        pub previous: Option<Incarnation> = 18,
        /// The counters did not add up once: how far they have been counted anew. Until that has ended they say nothing.
        pub recount: Option<Recount> = 19 since Schema::FIRST,
    }
}

record! {
    /// What has been counted anew of a server's copies: those of all blobs up to `through`. It stays exact while records
    /// change, because a change of what is behind that place is counted here as well.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Recount as "recount" {
        pub through: Option<BlobId> = 1,
        pub tally: Tally = 2,
    }
}

record! {
    /// What records name at one server. See `Server`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Tally as "tally" {
        pub primaries: u64 = 1,
        pub backups: u64 = 2,
        pub bytes: u64 = 3,
        pub stale: u64 = 4,
    }
}

impl Tally {
    /// Counts one copy, or counts it off. Whether it adds up: what was never counted cannot be counted off. A sum that is
    /// too large for its type stays at the largest, as it would in every recount.
    pub(crate) fn step(&mut self, stale: bool, position: usize, size: u64, add: bool) -> bool {
        let mut exact = true;
        let mut step = |value: &mut u64, by: u64| {
            exact &= add || *value >= by;
            *value = if add { value.saturating_add(by) } else { value.saturating_sub(by) };
        };
        match (stale, position) {
            (true, _) => step(&mut self.stale, 1),
            (false, 0) => step(&mut self.primaries, 1),
            (false, _) => step(&mut self.backups, 1),
        }
        if !stale {
            step(&mut self.bytes, size);
        }
        exact
    }

    pub(crate) fn named(&self) -> u64 {
        self.primaries.saturating_add(self.backups).saturating_add(self.stale)
    }

    /// The same in the server's next epoch.
    pub(crate) fn aged(&self) -> Self {
        Self { stale: self.named(), ..Self::default() }
    }
}

impl Server {
    /// Whether copies on it can count.
    pub fn is_serving(&self) -> bool {
        matches!(self.state, ServerState::Up | ServerState::Draining)
    }

    /// Whether it is the one of `epoch`, and copies on it can count.
    pub fn serves(&self, epoch: Epoch) -> bool {
        self.is_serving() && (self.epoch == epoch || planted(Plant::NoEpochCheck))
    }

    /// Whether a copy on it counts.
    pub fn counts(&self, replica: &Replica) -> bool {
        !replica.damaged && self.serves(replica.epoch)
    }

    /// How many replicas records name on it, whether or not they count.
    pub fn named(&self) -> u64 {
        self.tally().named()
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally { primaries: self.primaries, backups: self.backups, bytes: self.bytes, stale: self.stale }
    }

    pub(crate) fn set_tally(&mut self, tally: Tally) {
        Tally { primaries: self.primaries, backups: self.backups, bytes: self.bytes, stale: self.stale } = tally;
    }

    /// Whether it is known that no record names a copy on it.
    pub fn is_empty(&self) -> bool {
        self.named() == 0 && self.recount.is_none()
    }

    /// Whether records name copies on it that have to be replaced, moved or verified.
    pub fn is_unsound(&self) -> bool {
        self.stale > 0 || (self.state != ServerState::Up && self.named() > 0)
    }

    /// Whether a new file may be placed on it.
    pub fn is_eligible(&self) -> bool {
        self.state == ServerState::Up && !self.full
    }
}

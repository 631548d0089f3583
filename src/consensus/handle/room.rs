//! How much room the disks of the directory nodes have, and what is done before there is none.
//!
//! All nodes store the same, so their disks fill together, and RocksDB ends a node whose disk is full: without a floor
//! all of them end within minutes, and no deletion helps any more. Below the floor the leader takes what frees room and
//! refuses the rest before it is in the log.
//!
//! **It goes by a majority.** One node with a small disk is no reason to refuse anybody: when it ends, the others go on.
//! What must not happen is that no majority is left. So the leader refuses while fewer than a majority of the voters
//! answer and have room; a node that is down has none to offer. The leader's own disk counts as one of them.
//!
//! There is no file to be deleted in need: what is kept free by the floor is that file, and nobody has to log in to the
//! machines to make use of it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::super::status::{MemberStatus, Room};
use super::node::Node;

/// The floor is this part of the disk, within these bounds. On large disks a part would be more than what a state takes
/// in weeks.
const PART: u64 = 20;
const LEAST: u64 = 1 << 30;
const MOST: u64 = 16 << 30;
/// So many floors are left when it is said for the first time.
const EARLY: u64 = 2;

/// Bytes of a disk that are not to be used, where nobody named a number.
fn floor_of(disk: u64) -> u64 {
    (disk / PART).clamp(LEAST, MOST)
}

fn room(free: u64, floor: u64) -> Room {
    if free < floor {
        Room::Full
    } else if free < floor.saturating_mul(EARLY) {
        Room::Low
    } else {
        Room::Ample
    }
}

impl Node {
    /// Of this node's disk, as last measured.
    pub(super) fn room(&self) -> Room {
        room(self.board.disk_free.load(Ordering::Relaxed), self.board.disk_floor.load(Ordering::Relaxed))
    }

    /// Whether only what frees room is taken.
    pub(super) fn is_full(&self) -> bool {
        self.board.full.load(Ordering::Relaxed)
    }

    /// Whether a proposal has to wait until there is room. What is no proposal is refused as that.
    pub(super) fn takes_no_more(&self, proposal: &[u8]) -> bool {
        self.is_full() && !self.machine.frees_room(proposal).unwrap_or(true)
    }

    /// For people: whose disks are below their floors.
    pub(super) fn which_are_full(&self) -> String {
        let status = self.board.status.borrow();
        let full = status.members.iter().filter(|member| member.room == Room::Full);
        full.map(|member| format!("node {}", member.id)).collect::<Vec<_>>().join(", ")
    }
}

/// Measures this node's disk. What cannot be measured stays as it was.
pub(super) fn measure(node: &Node) {
    if let Some(space) = node.identity.space() {
        let floor = node.settings.tuning.disk_reserve.unwrap_or_else(|| floor_of(space.whole));
        node.board.disk_floor.store(floor, Ordering::Relaxed);
        node.board.disk_free.store(space.free, Ordering::Relaxed);
    }
}

/// Looks whether only what frees room is taken, and says so when that changes.
pub(super) fn judge(node: &Node) {
    let members = node.compute_status().members;
    let full = is_full(&members);
    if node.board.full.swap(full, Ordering::Relaxed) == full {
        return;
    }
    node.board.full_changes.fetch_add(1, Ordering::Relaxed);
    let short = members.iter().filter(|member| member.room == Room::Full).map(|member| member.id.to_string());
    let short = short.collect::<Vec<_>>().join(", ");
    if full {
        tracing::error!(
            nodes = short,
            "the directory is full: fewer than a majority of its nodes are up and have room on their disks, so only deletions \
             are taken. Delete files, or give those nodes larger disks"
        );
    } else {
        tracing::info!(
            nodes = short,
            "the directory has room again: a majority of its nodes has, and everything is taken"
        );
    }
}

/// Says so in the log when the room of this node's disk is another than `before`.
pub(super) fn tell(node: &Node, before: Room) -> Room {
    let now = node.room();
    let mebibytes = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed) >> 20;
    let (free, floor) = (mebibytes(&node.board.disk_free), mebibytes(&node.board.disk_floor));
    let dir = node.identity.path().display();
    match now {
        _ if now == before => {}
        Room::Ample => tracing::info!("the disk of {dir} has room again: {free} MiB are free"),
        Room::Low => tracing::warn!(
            "the disk of {dir} has {free} MiB left: make room on it or give it more, because below {floor} MiB on most \
             of the nodes only deletions are taken"
        ),
        Room::Full => tracing::error!(
            "the disk of {dir} has {free} MiB left, which is below its floor of {floor} MiB: make room on it or give it \
             more now. While most of the nodes are so, only deletions are taken"
        ),
    }
    now
}

/// Whether only what frees room is to be taken.
pub(super) fn is_full(members: &[MemberStatus]) -> bool {
    let voters = || members.iter().filter(|member| member.voter);
    let has_room = |member: &&MemberStatus| {
        // A leader that was just elected has not heard of the others yet.
        member.room != Room::Full && (member.reachable || member.silent.is_none())
    };
    let full = voters().any(|member| member.room == Room::Full);
    full && voters().filter(has_room).count() <= voters().count() / 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::NodeId;

    #[test]
    fn the_floor_is_a_twentieth_of_the_disk_within_bounds() {
        let gibibytes = |number: u64| number << 30;
        for (disk, floor) in [(4, 1), (20, 1), (100, 5), (320, 16), (10_000, 16)] {
            assert_eq!(floor_of(gibibytes(disk)), gibibytes(floor), "{disk}");
        }
        assert_eq!([5, 10, 19, 20].map(|free| room(free, 10)), [Room::Full, Room::Low, Room::Low, Room::Ample]);
    }

    #[test]
    fn a_majority_with_room_is_enough() {
        let member = |id: u64, room: Room, silent: Option<u64>| MemberStatus {
            id: NodeId(id),
            url: String::new(),
            peer: String::new(),
            voter: id <= 3,
            reachable: silent == Some(0),
            silent: silent.map(Duration::from_secs),
            last_log_index: None,
            applied_index: None,
            lag: None,
            snapshot_index: None,
            trouble: None,
            disk_free: None,
            room,
            sync: None,
            version: String::new(),
        };
        let (here, gone, unheard) = (Some(0), Some(60), None);
        let full = |rooms: [(Room, Option<u64>); 3]| {
            let voters = rooms.into_iter().zip(1..).map(|((room, silent), id)| member(id, room, silent));
            // A learner's disk says nothing.
            is_full(&voters.chain([member(4, Room::Full, here)]).collect::<Vec<_>>())
        };
        assert!(!full([(Room::Ample, here), (Room::Low, here), (Room::Low, here)]));
        assert!(!full([(Room::Full, here), (Room::Low, here), (Room::Ample, here)]));
        assert!(!full([(Room::Full, here), (Room::Ample, here), (Room::Ample, unheard)]));
        assert!(full([(Room::Full, here), (Room::Ample, here), (Room::Full, here)]));
        assert!(full([(Room::Full, here), (Room::Ample, here), (Room::Ample, gone)]), "nobody is left if it ends");
        assert!(!full([(Room::Ample, here), (Room::Ample, here), (Room::Ample, gone)]));
        assert!(!full([(Room::Ample, here), (Room::Ample, gone), (Room::Ample, gone)]), "that is another trouble");
    }
}

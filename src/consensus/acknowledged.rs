//! What a member has acknowledged, and what this node remembers of the others' acknowledgements.
//!
//! Raft rests on disks that keep what was acknowledged. A disk that goes back in time (a folder that is put back, a
//! snapshot of a virtual machine, a volume that lies) breaks that without a word: the node votes again in a term in which
//! it has voted, and elects a leader without entries that it had acknowledged. It cannot see that by itself, because all
//! that it could look at went back together. The others can: each keeps, of every other member, the furthest point that
//! it has acknowledged to it.
//!
//! Such a point is the leader or candidate that was acknowledged, and the last entry that was under it, in this order.
//! What a node has never goes below a point that it has acknowledged: its vote only grows, and while the vote is that of
//! one leader, nobody cuts off entries of that leader. A node that comes back with less has gone back in time, whatever
//! part of its folder it was, and one that comes back with as much has not lost anything that it has acknowledged: a
//! state of its disk from before the acknowledgement has a lower vote, or the same one and fewer entries.
//!
//! A point is noted before openraft hears of the acknowledgement, so nothing is counted that is not noted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::types::Vote;
use crate::domain::NodeId;

/// A point that a member has acknowledged, or up to which it has what it needs. The order of the fields is the order of
/// such points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    pub term: u64,
    /// Who leads that term, or stood for it.
    pub leader: u64,
    /// The last entry that it has of that leader's log.
    pub index: Option<u64>,
}

impl Acknowledged {
    pub(crate) const fn new(vote: &Vote, index: Option<u64>) -> Self {
        Self { term: vote.leader_id.term, leader: vote.leader_id.node_id, index }
    }
}

impl fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "entry {index} under node {} in term {}", self.leader, self.term),
            None => write!(f, "a vote for node {} in term {}", self.leader, self.term),
        }
    }
}

/// The furthest point that each other member has acknowledged to this node.
#[derive(Debug, Default)]
pub(crate) struct Recollections(Mutex<Points>);

#[derive(Debug, Default)]
struct Points {
    of: BTreeMap<NodeId, Acknowledged>,
    /// Something is new since they were written down.
    changed: bool,
}

impl Recollections {
    pub(crate) fn new(of: BTreeMap<NodeId, Acknowledged>) -> Self {
        Self(Mutex::new(Points { of, changed: false }))
    }

    pub(crate) fn note(&self, member: NodeId, point: Acknowledged) {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if points.of.get(&member).is_none_or(|known| *known < point) {
            points.of.insert(member, point);
            points.changed = true;
        }
    }

    pub(crate) fn of(&self, member: NodeId) -> Option<Acknowledged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).of.get(&member).copied()
    }

    /// All of them, where they are to be written down.
    pub(crate) fn unwritten(&self) -> Option<BTreeMap<NodeId, Acknowledged>> {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut points.changed).then(|| points.of.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_of_a_leader_first_and_of_its_log_second() {
        let point = |term, leader, index| Acknowledged { term, leader, index };
        let recollections = Recollections::default();
        let node = NodeId(2);
        recollections.note(node, point(3, 1, Some(9)));
        recollections.note(node, point(3, 1, Some(7)));
        assert_eq!(recollections.of(node), Some(point(3, 1, Some(9))));
        // A later leader may have cut off what the one before had.
        recollections.note(node, point(4, 3, None));
        assert_eq!(recollections.of(node), Some(point(4, 3, None)));
        assert!(point(4, 3, None) < point(4, 3, Some(0)) && point(3, 1, Some(9)) < point(4, 3, None));
        assert_eq!(recollections.unwritten().map(|of| of.len()), Some(1));
        assert_eq!(recollections.unwritten(), None);
        recollections.note(node, point(4, 3, None));
        assert_eq!(recollections.unwritten(), None, "nothing is new");
    }
}

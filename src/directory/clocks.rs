//! What this node knows of the other nodes' clocks, and the time that follows from them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::NodeId;

/// By how many milliseconds each other node's clock is ahead of this one's. The lock is held for a few instructions.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    ahead: Mutex<BTreeMap<NodeId, i64>>,
    /// The time was taken from them.
    agreed: AtomicBool,
}

impl Clocks {
    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeId, i64>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was answered; nothing where a node did not answer, whose last answer then goes on counting. Says whether
    /// all members but `own` have answered at some time.
    pub(crate) fn learn(
        &self,
        members: &[NodeId],
        own: NodeId,
        answers: impl IntoIterator<Item = (NodeId, Option<i64>)>,
    ) -> bool {
        let mut known = self.known();
        known.extend(answers.into_iter().filter_map(|(id, ahead)| Some((id, ahead?))));
        known.retain(|id, _| members.contains(id));
        members.contains(&own) && known.len() + 1 == members.len()
    }

    /// Takes the time from what is known: by how many milliseconds it is ahead of this node's clock.
    pub(crate) fn agree(&self) -> i64 {
        self.agreed.store(true, Ordering::Relaxed);
        median(&self.known())
    }

    /// Whether the time is more than this node's own clock.
    pub(crate) fn are_agreed(&self) -> bool {
        self.agreed.load(Ordering::Relaxed)
    }

    /// By how many milliseconds a node's clock is ahead of the agreed time, which is ahead of `own`'s by `agreed`.
    pub(crate) fn off(&self, id: NodeId, own: NodeId, agreed: i64) -> Option<i64> {
        let ahead = if id == own { Some(0) } else { self.known().get(&id).copied() };
        ahead.map(|ahead| ahead.saturating_sub(agreed))
    }
}

/// By how much the agreed time is ahead of this node's clock, where others are ahead by so much. Of an even number the mean
/// of the two in the middle, so that two nodes arrive at the same time, too.
fn median(known: &BTreeMap<NodeId, i64>) -> i64 {
    let mut all: Vec<i64> = known.values().copied().chain([0]).collect();
    all.sort_unstable();
    let (lower, upper) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
    lower + (upper - lower) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_clock_of_three_moves_nothing() {
        let clocks = |offsets: &[i64]| median(&(2..).map(NodeId).zip(offsets.iter().copied()).collect());
        assert_eq!(clocks(&[]), 0);
        // This node is right, another is an hour off; then this one is.
        assert_eq!(clocks(&[5, 3_600_000]), 5);
        assert_eq!(clocks(&[5, -3_600_000]), 0);
        assert_eq!(clocks(&[3_600_000, 3_600_007]), 3_600_000);
        // Two nodes arrive at the same time, from either side.
        assert_eq!(clocks(&[1000]), 500);
        assert_eq!(clocks(&[-1000]), -500);
    }
}

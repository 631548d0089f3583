//! What happens to the leadership: each change of it is one line in the log, with its reason, and one count.
//!
//! Every node keeps the journal of what it sees itself: that it begins to lead, that it leads no more and why, and who
//! leads instead (`succession.rs`).

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

use super::super::status::StepDownReason;
use crate::domain::NodeId;

/// What was last seen, and the counts.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
pub(super) struct Pages {
    /// The leader that this node knows, and its term.
    pub leader: Option<(NodeId, u64)>,
    /// The one before, and why it is none any more.
    pub former: Option<(NodeId, String)>,
    /// Why this node is to hand over, and since when.
    pub intent: Option<(StepDownReason, Instant)>,
    pub counts: LeaderCounts,
}

/// Since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderCounts {
    pub changes: u64,
    pub losses: u64,
    pub step_downs: [u64; StepDownReason::ALL.len()],
}

impl Journal {
    pub(crate) fn counts(&self) -> LeaderCounts {
        self.pages().counts
    }

    /// This node is about to hand over its leadership.
    pub(super) fn intend(&self, reason: StepDownReason) {
        self.pages().intent = Some((reason, Instant::now()));
    }

    pub(super) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_place_and_label() {
        let labels: std::collections::BTreeSet<_> = StepDownReason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), StepDownReason::ALL.len());
        for (number, reason) in StepDownReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.number(), number);
        }
    }
}

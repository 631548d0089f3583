//! What happens to the leadership: each change of it is one line in the log, with its reason, and one count.
//!
//! Every node keeps the journal of what it sees itself: that it begins to lead, that it leads no more and why, and who
//! leads instead. It goes by the verdict that everything else goes by (`leaders.rs`).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::ServerState;
use tokio::time::Instant;

use super::super::status::StepDownReason;
use super::leaders::Leader;
use super::node::Node;
use crate::domain::NodeId;

/// A leader that was to go and is gone after this time went for that reason. A little more than a hand-over may take.
const INTENDED: Duration = Duration::from_secs(4);

/// What was last seen, and the counts.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    /// The leader that this node knows, and its term.
    leader: Option<(NodeId, u64)>,
    /// The one before, and why it is none any more.
    former: Option<(NodeId, String)>,
    /// Why this node is to hand over, and since when.
    intent: Option<(StepDownReason, Instant)>,
    counts: LeaderCounts,
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

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Notes who leads now. To be called at each change of the verdict.
    pub(super) fn note_leader(&self) {
        let Some(metrics) = self.raft_metrics() else { return };
        let verdict = self.leaders.leader();
        let (own, term) = (self.id(), metrics.current_term);
        let (now, why) = match verdict {
            Leader::Here => (Some((own, term)), String::new()),
            Leader::There(target) => (Some((target.id, term)), String::new()),
            Leader::Unknown(why) | Leader::Lost(why) => (None, why),
        };
        let mut pages = self.journal.pages();
        let before = pages.leader;
        if now == before {
            return;
        }
        pages.leader = now;
        if let Some((former, led_in)) = before {
            if former == own {
                self.note_step_down(&mut pages, led_in, metrics.state == ServerState::Leader);
            } else {
                let why = if why.is_empty() { "another one was elected".to_owned() } else { why };
                if now.is_none() {
                    pages.counts.losses += 1;
                    tracing::warn!(former = %former, term, reason = why, "no leader is known any more");
                }
                pages.former = Some((former, why));
            }
        }
        if let Some((leader, term)) = now {
            pages.counts.changes += 1;
            let (former, reason) = match &pages.former {
                None => ("none".to_owned(), "this node knew of no leader before".to_owned()),
                Some((former, why)) => (former.to_string(), why.clone()),
            };
            if leader == own {
                tracing::info!(term, former, reason, "this node leads now");
            } else {
                tracing::info!(leader = %leader, term, former, reason, "another node leads");
            }
        }
    }

    fn note_step_down(&self, pages: &mut Pages, led_in: u64, by_its_own_word: bool) {
        let reason = match pages.intent.take() {
            Some((reason, at)) if at.elapsed() < INTENDED => reason,
            _ if by_its_own_word => StepDownReason::NoMajority,
            _ => StepDownReason::Overtaken,
        };
        pages.counts.step_downs[reason.number()] += 1;
        pages.former = Some((self.id(), reason.text().to_owned()));
        let sync = self.storage.log.sync_pace().map(|pace| pace.median);
        let (term, label) = (led_in, reason.label());
        match reason {
            StepDownReason::Asked | StepDownReason::Removal | StepDownReason::Shutdown => {
                tracing::info!(term, label, "this node leads no more: {}", reason.text());
            }
            StepDownReason::SlowDisk | StepDownReason::Overtaken | StepDownReason::NoMajority => {
                tracing::warn!(term, label, ?sync, "this node leads no more: {}", reason.text());
            }
        }
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

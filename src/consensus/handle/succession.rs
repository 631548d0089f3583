//! Noticing that somebody else leads than before: one line in the log, with its reason, and one count (`journal.rs`). It goes
//! by the verdict that everything else goes by (`leaders.rs`).

use std::time::Duration;

use openraft::ServerState;

use super::super::status::StepDownReason;
use super::journal::Pages;
use super::leaders::Leader;
use super::node::Node;

/// A leader that was to go and is gone after this time went for that reason. A little more than a hand-over may take.
const INTENDED: Duration = Duration::from_secs(4);

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
        // By the node alone: the term rises a moment before the verdict falls.
        if now.map(|(leader, _)| leader) == before.map(|(leader, _)| leader) {
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

//! Getting a report of what is held to a directory node, whichever takes it.

use std::time::Duration;

use tokio::sync::watch;

use super::calls::Calls;
use super::view::View;
use crate::domain::{Epoch, ServerId};
use crate::protocol::inventory::{InventoryAnswer, InventoryReport};

const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

pub(super) struct Reporter {
    /// What it reports, for the log.
    what: &'static str,
    calls: Calls,
    view: watch::Receiver<View>,
    /// Which node is asked next; counts on without end. A node that takes reports keeps getting them.
    turn: usize,
    /// Since a report was last taken.
    failures: usize,
    last_failure: Option<String>,
}

impl Reporter {
    pub(super) fn new(what: &'static str, calls: Calls, view: watch::Receiver<View>) -> Self {
        Self { what, calls, view, turn: 0, failures: 0, last_failure: None }
    }

    /// Who this server is now. Waits while it is not admitted; for ever where it never will be.
    pub(super) async fn admitted(&mut self) -> (ServerId, Epoch) {
        let own = |view: &View| Some((view.bound?.1, view.epoch?));
        let seen = self.view.wait_for(|view| own(view).is_some()).await.ok().and_then(|view| own(&view));
        match seen {
            Some(own) => own,
            None => std::future::pending().await,
        }
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.view.borrow().epoch
    }

    /// How often the whole inventory is to be reported.
    pub(super) fn interval(&self) -> Duration {
        self.view.borrow().inventory
    }

    /// Waits until this server learns anything from the directory.
    pub(super) async fn learned(&mut self) {
        if self.view.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Sends a report to one node. Where that fails, nothing is answered, after a pause once every node has failed: the
    /// caller looks again at what is to be reported, since it may have changed, and sends that.
    pub(super) async fn send(&mut self, report: &InventoryReport) -> Option<InventoryAnswer> {
        let nodes = self.view.borrow().nodes.clone();
        let Some(node) = nodes.get(self.turn % nodes.len().max(1)) else {
            tokio::time::sleep(MAX_BACKOFF).await;
            return None;
        };
        match self.calls.inventory(node, report).await {
            Ok(answer) => {
                self.failures = 0;
                if self.last_failure.take().is_some() {
                    tracing::info!(node, "{} is taken again", self.what);
                }
                Some(answer)
            }
            Err(error) => {
                self.turn = self.turn.wrapping_add(1);
                self.failures += 1;
                let failure = error.to_string();
                if self.last_failure.as_ref() != Some(&failure) {
                    tracing::warn!(node, failure, "{} is not taken, will send it again", self.what);
                    self.last_failure = Some(failure);
                }
                tokio::time::sleep(self.backoff(nodes.len())).await;
                None
            }
        }
    }

    /// Every node is tried at once in turn; then it waits, longer each time round.
    fn backoff(&self, nodes: usize) -> Duration {
        let nodes = nodes.max(1);
        if !self.failures.is_multiple_of(nodes) {
            return Duration::ZERO;
        }
        let rounds = u32::try_from(self.failures / nodes).unwrap_or(u32::MAX).saturating_sub(1).min(10);
        (FIRST_BACKOFF * 2_u32.pow(rounds)).min(MAX_BACKOFF)
    }
}

//! A snapshot waits while another one is on its way to a node.
//!
//! With a new snapshot the log goes up to it. A node that is still being sent the old one would then lack entries that
//! nobody has any more, and be sent the new one, and so on: under load a node with a large index would never catch up.
//! And a transfer that breaks off can only go on where it was while its sender still has that snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::transport::Sending;

/// How long a transfer that broke off may take to go on: a process that was killed is back by then.
const RETURN: Duration = Duration::from_secs(60);
/// By how much the log may grow meanwhile. Eyeballed: four times what usually is between two snapshots.
const MOST_BYTES: u64 = 1 << 30;

/// Whether a snapshot has to wait.
#[derive(Debug, Default)]
pub(crate) struct Deferral {
    sending: Sending,
    /// Bytes appended to the log since the start.
    appended: Arc<AtomicU64>,
    since: Option<u64>,
}

impl Deferral {
    pub(crate) fn new(sending: Sending, appended: Arc<AtomicU64>) -> Self {
        Self { sending, appended, since: None }
    }

    pub(crate) fn defers(&mut self) -> bool {
        if !self.sending.of_late(RETURN) {
            self.since = None;
            return false;
        }
        let appended = self.appended.load(Ordering::Relaxed);
        appended - *self.since.get_or_insert(appended) < MOST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::NodeId;

    #[test]
    fn a_snapshot_waits_for_one_that_is_on_its_way_and_not_for_ever() {
        let (sending, appended) = (Sending::default(), Arc::new(AtomicU64::new(500)));
        let mut deferral = Deferral::new(sending.clone(), Arc::clone(&appended));
        assert!(!deferral.defers());
        sending.begin(NodeId(2), 0, 10);
        assert!(deferral.defers());
        sending.end(NodeId(2), false);
        assert!(deferral.defers(), "it may go on");
        appended.fetch_add(MOST_BYTES - 1, Ordering::Relaxed);
        assert!(deferral.defers());
        appended.fetch_add(1, Ordering::Relaxed);
        assert!(!deferral.defers(), "the log grows too long");
        sending.begin(NodeId(2), 9, 10);
        assert!(!deferral.defers());
        sending.end(NodeId(2), true);
        assert!(!deferral.defers());
        sending.begin(NodeId(3), 0, 10);
        assert!(deferral.defers(), "another transfer");
        sending.end(NodeId(3), true);
        assert!(!deferral.defers(), "it has arrived");
    }
}

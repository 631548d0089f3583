//! The reads that run, so that room which is wanted can be had before `garbage.linger` is over.
//!
//! A deleted file's bytes stay for `garbage.linger`, because a read that began before the deletion may have to open them
//! again: when a connection breaks, or after a long pause of its client. Where a file server is full that wait is cut
//! short, as far as no read needs it: each node knows from which state of the directory the oldest of its running reads
//! is, the leader asks all of them, and what was listed before that state is in no running read. The state is known by
//! its cluster time, which is in the log, so no clock matters. That a node counted its reads by blobs was the other way;
//! it would need a message for each copy, and one slow read of another file hinders nothing for longer than `linger`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ClusterTime;

/// What was deleted a moment ago stays for so long in any case, in milliseconds: a read has looked its file up and is not
/// counted yet, or looks it up at a node that lags. No call takes longer than this to begin.
pub(crate) const LEAST_LINGER_MS: u64 = 10_000;
/// The same while some node does not answer. Reads through it that run can go on in the connections which they have; only
/// those that have to open their file again could miss it. Eyeballed: longer than most of them last.
const SILENT_LINGER_MS: u64 = 120_000;

/// The running reads of one node. A clone shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads(Arc<Mutex<BTreeMap<ClusterTime, usize>>>);

/// A read that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct RunningRead {
    reads: Reads,
    seen_at: ClusterTime,
}

impl Reads {
    /// A read of a file that was looked up in the state of `seen_at`.
    pub(crate) fn begin(&self, seen_at: ClusterTime) -> RunningRead {
        *self.lock().entry(seen_at).or_default() += 1;
        RunningRead { reads: self.clone(), seen_at }
    }

    /// From which state the oldest is.
    pub(crate) fn oldest(&self) -> Option<ClusterTime> {
        self.lock().keys().next().copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClusterTime, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningRead {
    fn drop(&mut self) {
        let mut running = self.reads.lock();
        if let Some(count) = running.get_mut(&self.seen_at) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.seen_at);
            }
        }
    }
}

/// By the answers of all nodes; nothing is said by one that did not answer.
pub(crate) fn unread_before(now: ClusterTime, answers: &[Option<Option<ClusterTime>>]) -> ClusterTime {
    let linger_ms = if answers.iter().all(Option::is_some) { LEAST_LINGER_MS } else { SILENT_LINGER_MS };
    let oldest = answers.iter().flatten().flatten().min().copied();
    let late = ClusterTime(now.0.saturating_sub(linger_ms));
    oldest.map_or(late, |oldest| oldest.min(late))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_running_read_is_known_until_it_ends() {
        let reads = Reads::default();
        assert_eq!(reads.oldest(), None);
        let (second, first) = (reads.begin(ClusterTime(2)), reads.begin(ClusterTime(1)));
        let another = reads.begin(ClusterTime(1));
        assert_eq!(reads.oldest(), Some(ClusterTime(1)));
        drop(first);
        assert_eq!(reads.oldest(), Some(ClusterTime(1)));
        drop(another);
        assert_eq!(reads.oldest(), Some(ClusterTime(2)));
        drop(second);
        assert_eq!(reads.oldest(), None);
    }

    #[test]
    fn every_node_has_its_say_and_silence_is_no_consent() {
        let now = ClusterTime(1_000_000);
        let (none, read) = (Some(None), |at: u64| Some(Some(ClusterTime(at))));
        assert_eq!(unread_before(now, &[none, none]), ClusterTime(now.0 - LEAST_LINGER_MS));
        assert_eq!(unread_before(now, &[none, read(999_999)]), ClusterTime(now.0 - LEAST_LINGER_MS));
        assert_eq!(unread_before(now, &[read(5), read(999_999), none]), ClusterTime(5));
        assert_eq!(unread_before(now, &[none, None]), ClusterTime(now.0 - SILENT_LINGER_MS));
        assert_eq!(unread_before(now, &[read(5), None]), ClusterTime(5));
    }
}

//! How long syncs of the log take, of late and in all.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::{Histogram, exponential_buckets};

/// What counts as "of late".
const WINDOW: Duration = Duration::from_secs(10);
/// Kept for the median. A disk that does more in the window is not slow.
const KEPT: usize = 64;

/// Measures the syncs of one log.
pub(super) struct Pace {
    recent: Mutex<Recent>,
    all: Histogram,
}

#[derive(Default)]
struct Recent {
    /// When each ended, and how long it took; the newest last.
    done: VecDeque<(Instant, Duration)>,
    /// Since when one is under way.
    begun: Option<Instant>,
}

/// The syncs of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SyncPace {
    pub median: Duration,
    pub syncs: usize,
}

impl Pace {
    pub(super) fn new() -> Self {
        // From half a millisecond to a second.
        Self { recent: Mutex::default(), all: Histogram::new(exponential_buckets(0.0005, 2.0, 12)) }
    }

    pub(super) fn begin(&self, now: Instant) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).begun = Some(now);
    }

    pub(super) fn end(&self, now: Instant) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(begun) = recent.begun.take() else { return };
        let took = now.saturating_duration_since(begun);
        recent.done.push_back((now, took));
        if recent.done.len() > KEPT {
            recent.done.pop_front();
        }
        drop(recent);
        self.all.observe(took.as_secs_f64());
    }

    /// All syncs since the start, in seconds.
    pub(super) fn all(&self) -> Histogram {
        self.all.clone()
    }

    /// The syncs of the last seconds, nothing where there were none. One that is under way counts once it takes longer
    /// than the median of the others: a disk that hangs ends no sync by which it could be known.
    pub(super) fn of_late(&self, now: Instant) -> Option<SyncPace> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = recent.done.iter().filter(|(at, _)| now.saturating_duration_since(*at) < WINDOW);
        let mut took: Vec<Duration> = fresh.map(|(_, took)| *took).collect();
        let under_way = recent.begun.map(|begun| now.saturating_duration_since(begun));
        drop(recent);
        took.sort_unstable();
        let hangs = |under_way: &Duration| *under_way > median(&took).unwrap_or(WINDOW / 10);
        if let Some(under_way) = under_way.filter(hangs) {
            took.push(under_way);
            took.sort_unstable();
        }
        median(&took).map(|median| SyncPace { median, syncs: took.len() })
    }
}

/// The lower of the two in the middle, so that a single slow one among two does not count as the rule.
fn median(sorted: &[Duration]) -> Option<Duration> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_median_is_of_the_last_seconds_and_of_what_hangs() {
        let (pace, start) = (Pace::new(), Instant::now());
        assert_eq!(pace.of_late(start), None);
        let mut now = start;
        for took in [5, 700, 3, 4, 6] {
            pace.begin(now);
            now += ms(took);
            pace.end(now);
        }
        assert_eq!(pace.of_late(now), Some(SyncPace { median: ms(5), syncs: 5 }));
        assert_eq!(pace.of_late(now + WINDOW), None, "nothing is known of late");
        // A sync that does not end is all that is known in the end.
        pace.begin(now);
        assert_eq!(
            pace.of_late(now + ms(2)),
            Some(SyncPace { median: ms(5), syncs: 5 }),
            "it may still be a quick one"
        );
        assert_eq!(pace.of_late(now + WINDOW), Some(SyncPace { median: WINDOW, syncs: 1 }));
    }
}

//! What came of a run.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::history::Moment;

/// A pause that begins later than this after an event, in microseconds, is not its consequence.
const SETTLED: Moment = 1_000_000;

pub(crate) struct Report {
    pub(crate) violations: Vec<String>,
    /// Where the history is, if there are any.
    pub(crate) kept: Option<PathBuf>,
    /// Requests that failed with the client of the command line, other than by design.
    pub(crate) failed: Vec<String>,
    /// Sorted.
    pub(crate) outages: Vec<Duration>,
    /// Changes.
    pub(crate) acknowledged: usize,
    /// Changes.
    pub(crate) unknown: usize,
    pub(crate) seed: u64,
}

impl Report {
    #[track_caller]
    pub(crate) fn expect_clean(&self) {
        assert!(self.violations.is_empty(), "{} violations:\n{}", self.violations.len(), self.violations.join("\n"));
        assert!(self.acknowledged > 0, "nothing was changed");
    }

    #[track_caller]
    pub(crate) fn expect_no_failed_request(&self) {
        assert!(self.failed.is_empty(), "{} requests failed:\n{}", self.failed.len(), self.failed.join("\n"));
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.outages.len().saturating_sub(1);
        self.outages.get((self.outages.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }

    pub(crate) fn print(&self, label: &str) {
        let mut line =
            format!("{label}: {} changes acknowledged, {} of unknown outcome,", self.acknowledged, self.unknown);
        let _ = write!(line, " {} requests failed, {} violations;", self.failed.len(), self.violations.len());
        let _ = write!(line, " {} outages:", self.outages.len());
        for percent in [50, 90, 99, 100] {
            let _ = write!(line, " p{percent} {} ms", self.percentile(percent).as_millis());
        }
        println!("{line}; RINGMASTER_TEST_SEED={}", self.seed);
        for text in self.failed.iter().take(20) {
            println!("  failed: {text}");
        }
    }
}

/// The outage of one client at one event: from the last success before to the first after. What was under way at the
/// event may still be answered, so it is the longest pause that ends after the event and begins before it has settled.
pub(super) fn outage(successes: &[Moment], mark: Moment) -> Option<Duration> {
    let pauses = successes.windows(2).map(|pair| (pair[0], pair[1]));
    let near = pauses.filter(|(from, to)| *to > mark && *from < mark + SETTLED);
    near.map(|(from, to)| Duration::from_micros(to - from)).max()
}

#[test]
fn an_outage_is_the_longest_pause_at_an_event() {
    let seconds = |list: &[Moment]| -> Vec<Moment> { list.iter().map(|second| second * 1_000_000).collect() };
    let millis = Duration::from_millis;
    assert_eq!(outage(&seconds(&[0, 10, 11, 30, 99]), 10_500_000), Some(millis(19_000)), "it begins after the event");
    assert_eq!(outage(&seconds(&[0, 10, 11, 12, 99]), 10_500_000), Some(millis(1_000)), "a later one is another's");
    assert_eq!(outage(&seconds(&[0, 10]), 10_500_000), None);
}

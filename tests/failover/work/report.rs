//! What came of a run.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::history::Moment;

pub(crate) struct Report {
    pub(crate) violations: Vec<String>,
    /// Where the history is, if there are any.
    pub(crate) kept: Option<PathBuf>,
    /// Requests that failed with the client of the command line, other than by design.
    pub(crate) failed: Vec<String>,
    /// Sorted, the shortest first.
    pub(crate) outages: Vec<Outage>,
    /// Changes.
    pub(crate) acknowledged: usize,
    /// Changes.
    pub(crate) unknown: usize,
    pub(crate) seed: u64,
}

/// For how long one client stood still at one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outage {
    pub(crate) length: Duration,
    /// Of the history.
    from: Moment,
    /// When it began, seen from the event.
    after: i64,
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

    /// Of a run of full size.
    #[track_caller]
    pub(crate) fn expect_outages(&self, median: Duration, p99: Duration) {
        for (percent, most) in [(50, median), (99, p99)] {
            let found = self.percentile(percent);
            assert!(found <= most, "p{percent} of the outages is {found:?}, and at most {most:?} is wanted");
        }
    }

    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.outages.len().saturating_sub(1);
        self.outages.get((self.outages.len() * percent / 100).min(last)).map(|outage| outage.length).unwrap_or_default()
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
        if let Some(longest) = self.outages.last() {
            let (after, from) = (longest.after / 1_000, longest.from / 1_000);
            println!("  the longest outage begins {after} ms after its event, {from} ms after the first request");
        }
        for text in self.failed.iter().take(20) {
            println!("  failed: {text}");
        }
    }
}

/// The outage of one client at one event: from the last success before to the first after. What was under way at the event
/// may still be answered, and a node that comes back may do harm as well, so it is the longest pause that ends between the
/// event and the next one. A pause from before an event to after it is that event's: clients get on before the next.
pub(super) fn outage(successes: &[Moment], mark: Moment, next: Moment) -> Option<Outage> {
    let pauses = successes.windows(2).map(|pair| (pair[0], pair[1]));
    let near = pauses.filter(|(_, to)| *to > mark && *to <= next);
    let outage = |(from, to): (Moment, Moment)| {
        let after = from.cast_signed() - mark.cast_signed();
        Outage { length: Duration::from_micros(to - from), from, after }
    };
    near.map(outage).max()
}

#[test]
fn an_outage_is_the_longest_pause_from_an_event_to_the_next() {
    let seconds = |list: &[Moment]| -> Vec<Moment> { list.iter().map(|second| second * 1_000_000).collect() };
    let outage = |list: &[Moment], mark, next| Some(outage(&seconds(list), mark, next)?.length.as_secs());
    let (mark, never) = (10_500_000, Moment::MAX);
    assert_eq!(outage(&[0, 10, 11, 30, 99], mark, never), Some(69), "it begins after the event");
    assert_eq!(outage(&[0, 10, 11, 30, 99], mark, 50_000_000), Some(19), "a later one is another's");
    assert_eq!(outage(&[0, 10, 12, 13, 99], mark, 20_000_000), Some(2), "it spans the event");
    assert_eq!(outage(&[0, 10], mark, never), None);
}

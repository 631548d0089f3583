//! What is refused early, so that the rest keeps its pace.
//!
//! Requests are told apart by what they ask of the node, and of each class only so many are in hand at once. What comes
//! beyond that is answered at once with 503 and `Retry-After`, before anything of it is read. In a queue it would wait for
//! its deadline, and hold up what comes behind it; and no class can take the places of another: whatever users do, the
//! cluster's own calls and an operator's are heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::ApiError;
use crate::config;
use crate::protocol::problem::Code;
use crate::telemetry::{Counter, EncodeLabelSet, Family, Gauge, Metrics};

/// What a call asks of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Calls of the cluster's members, of operators and of who watches over it: never refused here.
    Cluster,
    /// A few rows, or the beginning of a file.
    Reads,
    /// A commit.
    Writes,
    /// A file's bytes, and a commit.
    Uploads,
    /// Thousands of rows.
    Listings,
    /// A password.
    Logins,
}

impl Class {
    const LIMITED: [Self; 5] = [Self::Reads, Self::Writes, Self::Uploads, Self::Listings, Self::Logins];

    const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Uploads => "uploads",
            Self::Listings => "listings",
            Self::Logins => "logins",
        }
    }

    const fn most(self, rules: &config::Shedding) -> u64 {
        match self {
            Self::Cluster => u64::MAX,
            Self::Reads => rules.reads,
            Self::Writes => rules.writes,
            Self::Uploads => rules.uploads,
            Self::Listings => rules.listings,
            Self::Logins => rules.logins,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    class: &'static str,
}

/// What a node has in hand, by class.
pub(crate) struct Shedding {
    classes: Vec<(Class, Arc<Limit>)>,
}

struct Limit {
    most: u64,
    now: AtomicU64,
    shown: Gauge,
    shed: Counter,
}

/// One request in hand.
pub(crate) struct InHand(Arc<Limit>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        self.0.shown.dec();
    }
}

impl Shedding {
    pub(crate) fn new(rules: &config::Shedding, metrics: &Metrics) -> Self {
        let shown: Family<Of, Gauge> =
            metrics.gauges("ringmaster_requests_in_hand", "Requests that are not answered yet, by class");
        let shed: Family<Of, Counter> = metrics.counters(
            "ringmaster_requests_shed_total",
            "Requests that were refused because as many of their class were in hand as may be",
        );
        let limit = |class: Class| {
            let of = Of { class: class.name() };
            let (shown, shed) = (shown.get_or_create(&of).clone(), shed.get_or_create(&of).clone());
            (class, Arc::new(Limit { most: class.most(rules), now: AtomicU64::new(0), shown, shed }))
        };
        Self { classes: Class::LIMITED.into_iter().map(limit).collect() }
    }

    /// A place for one more, or nothing where there is none. What is not limited needs none.
    pub(crate) fn begin(&self, class: Class) -> Result<Option<InHand>, ApiError> {
        let Some((_, limit)) = self.classes.iter().find(|(of, _)| *of == class) else { return Ok(None) };
        if limit.now.fetch_add(1, Ordering::Relaxed) >= limit.most {
            limit.now.fetch_sub(1, Ordering::Relaxed);
            limit.shed.inc();
            let detail = format!(
                "this node has as many {} in hand as it takes, and nothing was done: try again in a second, or use another \
                 node",
                class.name()
            );
            return Err(ApiError::new(Code::Overloaded, detail));
        }
        limit.shown.inc();
        Ok(Some(InHand(limit.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_takes_no_place_of_another() {
        let rules = config::Shedding { reads: 2, writes: 1, uploads: 1, listings: 1, logins: 1 };
        let shedding = Shedding::new(&rules, &Metrics::new());
        let held = (shedding.begin(Class::Reads), shedding.begin(Class::Reads));
        assert!(held.0.is_ok() && held.1.is_ok());
        let refused = shedding.begin(Class::Reads).err().expect("there are two");
        assert_eq!(refused.code, Code::Overloaded);
        assert!(shedding.begin(Class::Writes).is_ok());
        assert!((0..100).all(|_| shedding.begin(Class::Cluster).is_ok()));
        drop(held);
        assert!(shedding.begin(Class::Reads).is_ok());
    }
}

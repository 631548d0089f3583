//! What is owed, as monitoring sees it. Set when somebody scrapes, from what this node has applied.

use std::collections::BTreeMap;

use crate::consensus::{self, StepDownReason};
use crate::domain::query::Upkeep;
use crate::domain::{ClusterTime, ServerId};
use crate::telemetry::{Counter, Family, Gauge, Metrics};

type Labels = Vec<(String, String)>;

/// How often this node stopped leading, by why.
pub(crate) struct StepDowns(Family<Labels, Counter>);

impl StepDowns {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self(metrics.counters(
            "ringmaster_raft_step_downs_total",
            "Times that this node stopped leading, by why: slow_disk, asked, removal, shutdown, overtaken, no_majority",
        ))
    }

    pub(crate) fn set(&self, raft: &consensus::Metrics) {
        for (reason, count) in StepDownReason::ALL.into_iter().zip(raft.step_downs) {
            let counter = self.0.get_or_create(&vec![("reason".to_owned(), reason.label().to_owned())]).clone();
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

/// File servers whose disks take no writes, by why.
pub(crate) struct RefusalGauges(Family<Labels, Gauge>);

impl RefusalGauges {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self(metrics.gauges(
            "ringmaster_fileserver_cannot_write",
            "1 for each file server whose disk takes no writes, with the reason; no line for the others",
        ))
    }

    pub(crate) fn set(&self, refusals: &BTreeMap<ServerId, String>) {
        self.0.clear();
        for (server_id, reason) in refusals {
            let labels = vec![("server_id".to_owned(), server_id.to_string()), ("reason".to_owned(), reason.clone())];
            self.0.get_or_create(&labels).set(1);
        }
    }
}

pub(crate) struct UpkeepGauges {
    under_replicated: Gauge,
    repairs: Family<Labels, Gauge>,
    oldest_seconds: Gauge,
    to_move: Gauge,
    garbage: Gauge,
}

impl UpkeepGauges {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            under_replicated: metrics.gauge("ringmaster_under_replicated_files", "Files that are owed a repair"),
            repairs: metrics.gauges(
                "ringmaster_repairs_pending",
                "Files on the list of repairs, by how many of their copies counted; at most 10,000 are counted",
            ),
            oldest_seconds: metrics.gauge(
                "ringmaster_repair_oldest_age_seconds",
                "For how long the oldest of what is owed has been; 0 where nothing is",
            ),
            to_move: metrics.gauge("ringmaster_copies_to_move", "Copies on file servers that are being emptied"),
            garbage: metrics.gauge(
                "ringmaster_garbage_rows",
                "Copies that are to be deleted, or were lately; at most 10,000 are counted",
            ),
        }
    }

    pub(crate) fn set(&self, upkeep: &Upkeep, now: ClusterTime) {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.under_replicated.set(number(upkeep.pending()));
        // A file with as many copies as one can have is owed none.
        for (copies, files) in upkeep.by_copies.iter().take(5).enumerate() {
            let labels = vec![("copies".to_owned(), copies.to_string())];
            self.repairs.get_or_create(&labels).set(number(*files));
        }
        self.oldest_seconds.set(number(upkeep.oldest_age_ms(now).unwrap_or(0) / 1000));
        self.to_move.set(number(upkeep.to_move));
        self.garbage.set(number(upkeep.garbage));
    }
}

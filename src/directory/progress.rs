//! How the replication job gets on: counted on the leader, told to whoever asks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::telemetry::{Counter, Gauge, Histogram, Metrics};

/// The rate is that of the last so many seconds.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// What only the leader knows of the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobStatus {
    /// Files that are being mended or moved.
    pub(crate) in_flight: u64,
    /// Bytes copied per second, over the last ten seconds.
    pub(crate) bytes_per_second: u64,
    /// When the last round began, in milliseconds since the Unix epoch.
    pub(crate) last_run_at_wall_ms: Option<u64>,
}

/// The account of one node. It goes on counting through changes of leadership.
pub(crate) struct Progress {
    pub(crate) copied_bytes: Counter,
    pub(crate) copied: Counter,
    pub(crate) verified: Counter,
    pub(crate) mended: Counter,
    pub(crate) failed: Counter,
    pub(crate) erased: Counter,
    pub(crate) round_seconds: Histogram,
    pub(crate) repair_seconds: Histogram,
    in_flight: Gauge,
    queued: Gauge,
    files: AtomicU64,
    last_run: AtomicU64,
    recent: Mutex<VecDeque<(Instant, u64)>>,
}

impl Progress {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let buckets = [0.1, 1.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 36000.0];
        Self {
            copied_bytes: metrics.counter(
                "ringmaster_repair_bytes_total",
                "Bytes that this node as leader had copied from server to server",
            ),
            copied: metrics.counter("ringmaster_repair_copies_total", "Copies that this node as leader had made"),
            verified: metrics
                .counter("ringmaster_repair_verified_total", "Copies that were verified in place rather than copied"),
            mended: metrics.counter("ringmaster_repair_files_total", "Records that got other copies"),
            failed: metrics.counter("ringmaster_repair_failures_total", "Attempts at a file that came to nothing"),
            erased: metrics.counter("ringmaster_garbage_deleted_total", "Copies deleted from file servers"),
            round_seconds: metrics.histogram("ringmaster_repair_round_seconds", "How long a round took", buckets),
            repair_seconds: metrics.histogram(
                "ringmaster_repair_seconds",
                "Time from the death of a file server to the last of its files being whole again",
                buckets,
            ),
            in_flight: metrics.gauge("ringmaster_repair_in_flight", "Files that are being mended or moved"),
            queued: metrics.gauge("ringmaster_repair_queued", "Files that wait for their turn in this round"),
            files: AtomicU64::new(0),
            last_run: AtomicU64::new(0),
            recent: Mutex::default(),
        }
    }

    pub(crate) fn copied(&self, bytes: u64) {
        self.copied.inc();
        self.copied_bytes.inc_by(bytes);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back((Instant::now(), bytes));
        // A thousand copies in ten seconds tell the rate as well as a million.
        while recent.len() > 4096 || recent.front().is_some_and(|(at, _)| at.elapsed() > RATE_WINDOW) {
            recent.pop_front();
        }
    }

    pub(crate) fn busy(&self, in_flight: usize, queued: usize) {
        self.files.store(in_flight as u64, Ordering::Relaxed);
        self.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        self.queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
    }

    pub(crate) fn round_began(&self, wall_ms: u64) {
        self.last_run.store(wall_ms, Ordering::Relaxed);
    }

    /// As this node counts it.
    pub(crate) fn status(&self) -> JobStatus {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let within = recent.iter().filter(|(at, _)| at.elapsed() <= RATE_WINDOW);
        let bytes: u64 = within.map(|(_, bytes)| bytes).sum();
        JobStatus {
            in_flight: self.files.load(Ordering::Relaxed),
            bytes_per_second: bytes / RATE_WINDOW.as_secs(),
            last_run_at_wall_ms: Some(self.last_run.load(Ordering::Relaxed)).filter(|at| *at > 0),
        }
    }
}

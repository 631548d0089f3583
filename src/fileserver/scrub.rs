//! The scrubber: it reads everything that is held, over and over, so that damage is found in what nobody reads.
//!
//! One task goes through the blobs in the order of their ids, at such a rate that a *pass* takes as long as the
//! operator set. It remembers where it was in a small file, which is written every minute and harmless to lose. A pass
//! that was asked for begins at the first blob, goes as fast as is allowed, and counts as the regular one.
//!
//! A thread per disk that reads as fast as it can at night is what many systems do; at a steady, low rate there is
//! no night to be chosen, and what is damaged is found as soon on average.

mod progress;

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::progress::{Progress, ProgressFile};
use super::check::check;
use super::metrics::Metrics;
use super::pace::Pace;
use super::store::{Store, StoreError};
use super::transfer::{IntakeError, blocking};
use crate::clock::SharedClock;
use crate::domain::BlobId;
use crate::protocol::registration::ScrubPass;

/// While there is anything to read it is read at least this fast, in bytes per second: the last blob of a small store
/// need not wait for a week.
const LEAST_RATE: u64 = 1024 * 1024;
/// What a blob costs beside its bytes: opening its two files takes a disk about as long as reading so many bytes.
const BLOB_COST: u64 = 16 * 1024;
const PAGE: usize = 256;
/// How often the wall clock is looked at while nothing is due.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// After a page that the disk did not give.
const DISK_PAUSE: Duration = Duration::from_secs(60);

/// How a file server looks for damage.
#[derive(Clone, Copy, Debug)]
pub struct Scrubbing {
    /// How long one pass through everything takes; nothing is read by itself where it is zero.
    pub interval: Duration,
    /// The most bytes per second that are read for it.
    pub max_rate: u64,
}

impl Default for Scrubbing {
    fn default() -> Self {
        Self { interval: Duration::from_secs(7 * 24 * 3600), max_rate: 32 * 1024 * 1024 }
    }
}

/// Whether a pass was asked for. Asking again before it is done changes nothing.
#[derive(Clone, Debug)]
pub(super) struct Demand(Arc<watch::Sender<bool>>);

impl Demand {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(super) fn make(&self) {
        self.0.send_replace(true);
    }

    fn is_made(&self) -> bool {
        *self.0.borrow()
    }

    async fn made(&self) {
        // It cannot be closed: this value holds the sender.
        let _ = self.0.subscribe().wait_for(|made| *made).await;
    }
}

pub(super) struct Scrubber {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    settings: Scrubbing,
    demand: Demand,
    file: ProgressFile,
    progress: Progress,
}

impl Scrubber {
    /// Blocks: it reads where it was.
    pub(super) fn open(
        data_dir: &Path,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        clock: SharedClock,
        settings: Scrubbing,
    ) -> Self {
        let (file, progress) = ProgressFile::open(data_dir);
        let demand = Demand::new();
        if progress.pass.as_ref().is_some_and(|pass| pass.demanded) {
            demand.make();
        }
        metrics.scrub_last_completed.set(progress.completed_wall_ms.unwrap_or(0) / 1000);
        Self { store, metrics, clock, settings, demand, file, progress }
    }

    pub(super) fn demand(&self) -> Demand {
        self.demand.clone()
    }

    /// Runs until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.passes() => {}
        }
        self.save().await;
    }

    async fn passes(&mut self) {
        loop {
            let goes_on = match &self.progress.pass {
                Some(pass) => pass.demanded || !self.settings.interval.is_zero(),
                None => false,
            };
            if !goes_on {
                self.wait_until_due().await;
                self.begin().await;
            }
            self.pass().await;
        }
    }

    async fn wait_until_due(&mut self) {
        loop {
            let wait = match self.settings.interval.as_millis() {
                0 => LONGEST_WAIT,
                interval => {
                    let now = self.clock.wall_ms();
                    // A clock that was set back must not keep the scrubber waiting for longer than an interval.
                    let begun = self.progress.begun_wall_ms.map(|begun| begun.min(now));
                    let left = begun.map_or(0, |begun| interval.saturating_sub(u128::from(now - begun)));
                    Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX)).min(LONGEST_WAIT)
                }
            };
            let is_due = !self.settings.interval.is_zero() && wait.is_zero();
            if is_due || self.demand.is_made() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.demand.made() => {}
            }
        }
    }

    async fn begin(&mut self) {
        let demanded = self.demand.is_made();
        self.progress.begin(self.clock.wall_ms(), demanded);
        tracing::info!(demanded, "a scrub of everything begins");
        self.save().await;
    }

    /// Goes on with the pass that is under way, until its end.
    async fn pass(&mut self) {
        let mut pace = Pace::new(LEAST_RATE);
        while let Some(pass) = self.progress.pass.clone() {
            self.tell();
            if self.demand.is_made() && !pass.demanded {
                self.begin().await;
                continue;
            }
            let store = Arc::clone(&self.store);
            let ids = match blocking(move || store.ids(pass.after, PAGE)).await {
                Ok(Ok(ids)) => ids,
                Ok(Err(error)) => {
                    tracing::error!(%error, "the scrub cannot list what is here, will try again");
                    tokio::time::sleep(DISK_PAUSE).await;
                    continue;
                }
                Err(_) => return std::future::pending().await,
            };
            if ids.is_empty() {
                return self.finish().await;
            }
            for blob_id in ids {
                pace.change(self.rate(pass.demanded));
                let demand = self.demand.clone();
                tokio::select! {
                    () = self.look(blob_id, &mut pace) => {}
                    // One that is slow at a large blob is to begin anew at once.
                    () = demand.made(), if !pass.demanded => break,
                }
                if self.file.is_due() {
                    self.save().await;
                }
            }
        }
    }

    /// In bytes per second.
    fn rate(&self, demanded: bool) -> u64 {
        let most = self.settings.max_rate.max(LEAST_RATE);
        let seconds = self.settings.interval.as_secs();
        if demanded || seconds == 0 {
            return most;
        }
        let (bytes, blobs) = self.store.totals();
        (bytes.saturating_add(blobs.saturating_mul(BLOB_COST)) / seconds).clamp(LEAST_RATE, most)
    }

    async fn look(&mut self, blob_id: BlobId, pace: &mut Pace) {
        pace.spend(BLOB_COST).await;
        let (mut bytes, mut damaged) = (0, 0);
        match check(&self.store, blob_id, None, Some(pace)).await {
            Ok(record) => bytes = record.size,
            Err(IntakeError::Store(StoreError::Missing)) => {}
            Err(IntakeError::Store(StoreError::Damaged { what, .. })) => {
                damaged = 1;
                tracing::error!(%blob_id, what, "the scrub found a damaged copy");
            }
            Err(error) => tracing::warn!(%blob_id, %error, "the scrub could not read a copy"),
        }
        self.metrics.scrubbed_blobs.inc();
        self.metrics.scrubbed_bytes.inc_by(bytes);
        self.metrics.scrub_damaged.inc_by(damaged);
        self.progress.seen(blob_id, bytes, damaged);
        self.tell();
    }

    async fn finish(&mut self) {
        let now = self.clock.wall_ms();
        if let Some(pass) = self.progress.finish(now) {
            let seconds = now.saturating_sub(pass.begun_wall_ms) / 1000;
            let (blobs, bytes, damaged) = (pass.blobs, pass.bytes, pass.damaged);
            tracing::info!(blobs, bytes, damaged, seconds, "a scrub of everything is done");
            if pass.demanded {
                self.demand.0.send_replace(false);
            }
        }
        self.metrics.scrub_last_completed.set(now / 1000);
        self.tell();
        self.save().await;
    }

    /// The next heartbeat says how far it is.
    fn tell(&self) {
        let pass = self.progress.pass.as_ref().filter(|pass| pass.demanded);
        let told = pass.map(|pass| ScrubPass { copies: pass.blobs, damaged: pass.damaged });
        *self.metrics.asked_scrub.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    async fn save(&mut self) {
        let (file, progress) = (self.file.clone(), self.progress.clone());
        self.file.was_saved();
        match blocking(move || file.write(&progress)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "where the scrub is could not be saved"),
            Err(error) => tracing::debug!(%error, "where the scrub is was not saved"),
        }
    }
}

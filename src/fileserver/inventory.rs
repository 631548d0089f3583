//! Telling the directory everything that is held, page by page.
//!
//! All of it after each admission in a new epoch and at each start, when the directory wants to know what it may count
//! on; and again every so often, since that is how what nobody names any more, and what vanished, is found. A page is
//! read afresh at each try. A new epoch begins the whole round anew. No more than one page is in memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::metrics::Metrics;
use super::report::Reporter;
use super::store::{Listed, Store};
use super::transfer::blocking;
use crate::clock::SharedClock;
use crate::domain::{BlobId, Epoch, ServerId};
use crate::protocol::blob::{InventoryCopy, InventoryItem, MAX_INVENTORY_ITEMS};
use crate::protocol::inventory::InventoryReport;

/// After a page that the disk did not give.
const DISK_PAUSE: Duration = Duration::from_secs(5);
/// A regular round leaves the disk alone after each page for as long as the page took, but no longer than this.
const MAX_REST: Duration = Duration::from_secs(5);

pub(super) struct Inventory {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    reporter: Reporter,
}

impl Inventory {
    pub(super) const fn new(store: Arc<Store>, metrics: Arc<Metrics>, clock: SharedClock, reporter: Reporter) -> Self {
        Self { store, metrics, clock, reporter }
    }

    /// Reports for as long as it is polled.
    pub(super) async fn run(mut self) {
        let mut told = None;
        let mut begun = Instant::now();
        loop {
            let (server_id, epoch) = self.reporter.admitted().await;
            if told == Some(epoch) {
                let due = begun + self.reporter.interval();
                if Instant::now() < due {
                    tokio::select! {
                        () = tokio::time::sleep_until(due) => {}
                        () = self.reporter.learned() => {}
                    }
                    continue;
                }
            }
            begun = Instant::now();
            if self.round(server_id, epoch, told == Some(epoch)).await {
                told = Some(epoch);
            }
        }
    }

    /// Reports everything once; answers whether the epoch was the same until the end.
    async fn round(&mut self, server_id: ServerId, epoch: Epoch, is_regular: bool) -> bool {
        let begun = Instant::now();
        let (mut after, mut blobs, mut orphans, mut owed) = (None, 0, 0_u64, 0_u64);
        while self.reporter.epoch() == Some(epoch) {
            let listing = Instant::now();
            // Before the items are read, so that none seems older than it is.
            let now_wall_ms = self.clock.agreed_ms();
            let Some((listed, more)) = self.page(after).await else { continue };
            let through = listed.last().map(|last| last.blob_id).filter(|_| more);
            let items: Vec<_> = listed.into_iter().map(item).collect();
            let found = items.len();
            if is_regular {
                tokio::time::sleep(listing.elapsed().min(MAX_REST)).await;
            }
            let report = InventoryReport { server_id, epoch, after, through, now_wall_ms, items };
            let Some(answer) = self.reporter.send(&report).await else { continue };
            blobs += found;
            orphans += u64::from(answer.orphans);
            owed += u64::from(answer.owed);
            after = answer.next.or(through);
            if after.is_none() {
                self.metrics.inventories.inc();
                let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(%epoch, blobs, orphans, owed, ms, "the directory knows what is here");
                return true;
            }
        }
        false
    }

    async fn page(&self, after: Option<BlobId>) -> Option<(Vec<Listed>, bool)> {
        let store = Arc::clone(&self.store);
        let error = match blocking(move || store.list(after, MAX_INVENTORY_ITEMS)).await {
            Ok(Ok(page)) => return Some(page),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(error, "what is here cannot be listed for the directory, will try again");
        tokio::time::sleep(DISK_PAUSE).await;
        None
    }
}

/// One blob as it is told to the directory.
pub(super) fn item(Listed { blob_id, size, record }: Listed) -> InventoryItem {
    let copy = record.map(|record| InventoryCopy {
        copy_id: record.copy_id,
        size: record.size,
        sha256: record.sha256,
        stored_at_wall_ms: record.stored_at_wall_ms,
    });
    InventoryItem { blob_id, size, copy }
}

//! Telling the directory of each damaged copy as soon as it is met, whoever met it.

use std::sync::Arc;

use super::metrics::Metrics;
use super::report::Reporter;
use super::store::{Damage, Store, StoreError};
use super::transfer::blocking;
use crate::clock::SharedClock;
use crate::protocol::blob::InventoryItem;
use crate::protocol::inventory::InventoryReport;

/// Reports for as long as it is polled. What waits to be reported is kept, within bounds, by the store.
pub(super) async fn report_damage(
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    mut reporter: Reporter,
) {
    loop {
        let damage = store.damage_to_report().await;
        let (server_id, epoch) = reporter.admitted().await;
        let now_wall_ms = clock.agreed_ms();
        let still = {
            let store = Arc::clone(&store);
            blocking(move || store.still_damaged(damage)).await
        };
        let size = match still {
            Ok(Ok(Some(size))) => size,
            Ok(Ok(None)) => {
                store.damage_gone(damage);
                continue;
            }
            Ok(Err(error)) => {
                unclear(&store, damage, &error);
                continue;
            }
            // The runtime is shutting down.
            Err(_) => return,
        };
        let blob_id = damage.blob_id;
        let report = InventoryReport {
            server_id,
            epoch,
            after: InventoryReport::before(blob_id),
            through: Some(blob_id),
            now_wall_ms,
            items: vec![InventoryItem { blob_id, size, copy: None }],
        };
        if reporter.send(&report).await.is_some() {
            store.damage_reported(damage);
            metrics.damage_reported.inc();
            tracing::warn!(%blob_id, copy_id = ?damage.copy_id, "a damaged copy was reported to the directory");
        }
    }
}

/// Where the disk does not say, whoever meets the damage again will note it again.
fn unclear(store: &Store, damage: Damage, error: &StoreError) {
    tracing::warn!(blob_id = %damage.blob_id, %error, "whether a copy is damaged cannot be told");
    store.damage_gone(damage);
}

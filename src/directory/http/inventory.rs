//! `/inventory`: a file server tells what it holds, and what does not agree with the records is put in order.

use axum::Json as Body;
use axum::extract::State;
use futures_util::{StreamExt, stream};

use super::App;
use super::callers::FileServer;
use super::request::Json;
use crate::client::blobs::ServerAddress;
use crate::consensus::QueryKind;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::lookout::address;
use crate::domain::CopyAt;
use crate::domain::query::{self, BlobRange, Held, HeldCopy, Missing, Reporter};
use crate::protocol::blob::MAX_INVENTORY_ITEMS;
use crate::protocol::inventory::{InventoryAnswer, InventoryReport};
use crate::protocol::problem::Code;

/// Copies that one read compares.
const WINDOW: usize = 1_000;
/// Windows of one report. For what lies beyond, the server is asked to report again.
const WINDOWS: usize = 10;
/// Copies that are asked for at once.
const ASKED_AT_ONCE: usize = 16;

/// The state is read after the report came, and linearizably: what was committed before the server listed its items is
/// in it. What is found is proposed part by part, so that a request that is broken off leaves less for the next.
pub(crate) async fn inventory(
    State(node): State<App>,
    caller: FileServer,
    Json(report): Json<InventoryReport>,
) -> ApiResult<Body<InventoryAnswer>> {
    let (range, held) = read_report(&report)?;
    let reporter = Reporter { server_id: report.server_id, epoch: report.epoch };
    let items = held.clone();
    let judged = node.handle().read_as(QueryKind::Listing, move |store| {
        let server = query::server(store, reporter.server_id)?;
        Ok((server, query::surplus(store, reporter, &items)?))
    });
    let (server, surplus) = judged.await?;
    let surplus = surplus?;
    let server = server.ok_or_else(|| ApiError::internal("a server that may report is known"))?;
    caller.is_known(&node, server.uuid).await?;
    let orphans = node.condemn_copies(&surplus.orphans).await?;
    let mut owed = node.report_copies(&surplus.damaged).await?;

    let mut left = Some(range);
    for _ in 0..WINDOWS {
        let Some(range) = left else { break };
        let items = held.clone();
        let compared = node
            .handle()
            .read_local_as(QueryKind::Listing, move |store| query::missing(store, reporter, range, &items, WINDOW));
        let Missing { copies, next } = compared.await??;
        owed += node.report_copies(&lacking(&node, &address(&server), copies).await).await?;
        left = next.map(|after| BlobRange { after: Some(after), ..range });
    }
    Ok(Body(InventoryAnswer { orphans, owed, next: left.and_then(|range| range.after) }))
}

/// Those of `copies` that the server does not have: one that was committed after the items were listed is there.
async fn lacking(node: &App, at: &ServerAddress, copies: Vec<CopyAt>) -> Vec<CopyAt> {
    stream::iter(copies)
        .map(async |copy| node.lacks(at, copy).await.then_some(copy))
        .buffer_unordered(ASKED_AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await
}

fn read_report(report: &InventoryReport) -> ApiResult<(BlobRange, Vec<Held>)> {
    if report.items.len() > MAX_INVENTORY_ITEMS {
        return Err(ApiError::new(Code::TooLarge, "a report has at most 1,000 items: send it in parts"));
    }
    let range = BlobRange { after: report.after, through: report.through };
    let ascending = report.items.is_sorted_by(|one, next| one.blob_id < next.blob_id);
    if !ascending || !report.items.iter().all(|item| range.contains(item.blob_id)) {
        return Err(ApiError::invalid(
            "the items of a report are in its range and in ascending order of their blob ids",
        ));
    }
    let held = report.items.iter().map(|item| Held {
        blob_id: item.blob_id,
        // What was stored later than now, by a clock that was set back, is as young as can be.
        copy: item.copy.as_ref().map(|copy| HeldCopy {
            copy_id: copy.copy_id,
            age_ms: report.now_wall_ms.saturating_sub(copy.stored_at_wall_ms),
        }),
    });
    Ok((range, held.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BlobId, CopyId, Epoch, ServerId, Sha256};
    use crate::protocol::blob::{InventoryCopy, InventoryItem};

    fn item(blob: u128) -> InventoryItem {
        let copy = InventoryCopy { copy_id: CopyId(1), size: 1, sha256: Sha256([0; 32]), stored_at_wall_ms: 70 };
        InventoryItem { blob_id: BlobId(blob), size: 1, copy: Some(copy) }
    }

    fn report(after: Option<u128>, through: Option<u128>, blobs: &[u128]) -> InventoryReport {
        InventoryReport {
            server_id: ServerId(1),
            epoch: Epoch(1),
            after: after.map(BlobId),
            through: through.map(BlobId),
            now_wall_ms: 100,
            items: blobs.iter().copied().map(item).collect(),
        }
    }

    #[test]
    fn items_are_in_order_and_in_their_range() {
        assert!(read_report(&report(None, None, &[])).is_ok());
        let (_, held) = read_report(&report(Some(1), Some(3), &[2, 3])).expect("a sound report");
        assert_eq!(held[0].copy, Some(HeldCopy { copy_id: CopyId(1), age_ms: 30 }));
        for blobs in [&[1, 2][..], &[3, 4], &[3, 2], &[2, 2]] {
            assert!(read_report(&report(Some(1), Some(3), blobs)).is_err(), "{blobs:?}");
        }
        let many: Vec<u128> = (0..1_001).collect();
        assert!(read_report(&report(None, None, &many)).is_err_and(|error| error.code == Code::TooLarge));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_old() {
        let early = InventoryReport { now_wall_ms: 60, ..report(None, None, &[2]) };
        let (_, held) = read_report(&early).expect("a sound report");
        assert_eq!(held[0].copy.expect("a copy").age_ms, 0);
    }
}

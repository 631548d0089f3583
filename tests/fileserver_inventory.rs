//! How the directory comes to know what a file server holds.

mod fileserver_support;

use std::collections::BTreeMap;

use fileserver_support::*;
use futures_util::{StreamExt, stream};
use ringmaster::domain::{BlobId, CopyId, Epoch};
use ringmaster::protocol::inventory::InventoryReport;

/// A full page and a part of one.
const BLOBS: u64 = 1050;

fn reports(directory: &Directory, epoch: u64) -> Vec<InventoryReport> {
    let of_epoch = |report: &&InventoryReport| report.epoch == Epoch(epoch);
    directory.with_ledger(|ledger| ledger.reports.iter().filter(of_epoch).cloned().collect())
}

/// Ids all over the range, in no order.
fn blob_id(number: u64) -> BlobId {
    BlobId(u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_in_pages_after_each_new_epoch() {
    let it = Single::start().await;
    wait_until("the empty store is told", || !reports(&it.directory, 1).is_empty()).await;
    let empty = reports(&it.directory, 1).remove(0);
    assert_eq!((empty.server_id, empty.after, empty.through, empty.items.len()), (it.at().server_id, None, None, 0));

    let at = it.at();
    let putting = stream::iter(0..BLOBS).map(|number| {
        let (blobs, at) = (it.blobs.clone(), at.clone());
        async move {
            let bytes = number.to_be_bytes();
            let stored = put(&blobs, &at, blob_id(number), &bytes[..(number % 9) as usize]).await.expect("stored");
            (blob_id(number), stored)
        }
    });
    let stored: BTreeMap<_, _> = putting.buffer_unordered(32).collect().await;
    // Where the record is lost, it is told that something is there.
    let lost = *stored.keys().nth(7).expect("there are more");
    std::fs::remove_file(it.server.sidecar(lost)).expect("removed");

    it.directory.with_ledger(|ledger| ledger.refuses_reports = true);
    it.directory.raise_epoch(at.server_id);
    wait_until("it takes the new epoch", || it.server.server.epoch() == Some(Epoch(2))).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(reports(&it.directory, 2).is_empty());
    it.directory.with_ledger(|ledger| ledger.refuses_reports = false);
    let pages = || -> Vec<_> {
        let reports = reports(&it.directory, 2);
        reports.into_iter().filter(|report| !report.items.is_empty() && report.items[0].blob_id != lost).collect()
    };
    wait_until("the last page is told", || pages().iter().any(|page| page.through.is_none())).await;

    let pages = pages();
    let mut after = None;
    let mut told = BTreeMap::new();
    for page in &pages {
        assert_eq!(page.after, after, "each page begins where the last one ended");
        assert_eq!(page.server_id, at.server_id);
        assert!(page.items.len() <= 1000);
        assert!(page.items.is_sorted_by_key(|item| item.blob_id));
        assert!(page.items.iter().all(|item| Some(item.blob_id) > page.after));
        assert!(page.through.is_none_or(|through| page.items.last().is_some_and(|last| last.blob_id == through)));
        after = page.through;
        told.extend(page.items.iter().map(|item| (item.blob_id, item.clone())));
        let now = ringmaster::clock::SharedClock::system().wall_ms();
        assert!(page.now_wall_ms <= now && page.now_wall_ms + 60_000 > now);
    }
    assert_eq!(pages.len(), 2);
    assert_eq!(told.len(), stored.len());
    for (blob_id, stored) in &stored {
        let item = &told[blob_id];
        assert_eq!(item.size, stored.size);
        if *blob_id == lost {
            assert_eq!(item.copy, None);
            continue;
        }
        let copy = item.copy.as_ref().expect("a sound record");
        assert_eq!((copy.copy_id, copy.size, copy.sha256), (CopyId(1), stored.size, stored.sha256));
        assert!(copy.stored_at_wall_ms <= pages[0].now_wall_ms);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_again_every_so_often_and_at_each_start() {
    let directory = Directory::new();
    directory.with_ledger(|ledger| ledger.inventory_ms = Some(100));
    // The first node is not there: the other gets the reports.
    let nodes = vec![bind().await.1, directory.node().await];
    let dir = TempDir::new().expect("a temporary directory");
    let server = Server::start(dir.path(), nodes.clone()).await;
    wait_until("three rounds are told", || reports(&directory, 1).len() >= 3).await;
    put(&client(), &server.address(), BlobId(7), b"new").await.expect("stored");
    let holds_it = |report: &InventoryReport| report.items.iter().any(|item| item.blob_id == BlobId(7));
    wait_until("what is new is told", || reports(&directory, 1).iter().any(holds_it)).await;
    server.server.shutdown().await.expect("stopped");

    directory.with_ledger(|ledger| {
        ledger.inventory_ms = None;
        ledger.reports.clear();
    });
    let _server = Server::start(dir.path(), nodes).await;
    wait_until("everything is told at the start", || reports(&directory, 1).iter().any(holds_it)).await;
}

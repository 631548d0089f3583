//! Damage on a file server's disk: found, told, and never taken for a copy.

mod fileserver_support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use fileserver_support::*;
use ringmaster::client::blobs::{BlobError, Blobs, CopyOrder};
use ringmaster::domain::{BlobId, CopyId, Epoch};
use ringmaster::fileserver::Scrubbing;

const COPY: CopyId = CopyId(1);
const CHUNK: usize = 64 * 1024;

fn truncate(path: &Path, bytes: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("the file is there");
    file.set_len(bytes).expect("cut short");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_copy_is_the_one_that_was_stored() {
    let it = Single::start().await;
    let bytes = content(40 * CHUNK + 3);
    let size = bytes.len() as u64;
    let blob = |number: u128| BlobId(0x1000 + number);
    let verify = |number, copy_id| it.blobs.verify(&it.at(), blob(number), copy_id, size);
    for number in 0..6 {
        put(&it.blobs, &it.at(), blob(number), &bytes).await.expect("stored");
    }
    let stored = it.blobs.head(&it.at(), blob(0)).await.expect("there");
    assert_eq!(verify(0, COPY).await.expect("verified"), stored);
    let empty = put(&it.blobs, &it.at(), BlobId(1), b"").await.expect("stored");
    assert_eq!(it.blobs.verify(&it.at(), BlobId(1), COPY, 0).await.expect("verified"), empty);

    let other_copy = verify(0, CopyId(2)).await;
    assert!(matches!(other_copy, Err(BlobError::Missing { .. })), "{other_copy:?}");
    let other_size = it.blobs.verify(&it.at(), blob(0), COPY, size + 1).await;
    assert!(matches!(other_size, Err(BlobError::Corrupt { .. })), "{other_size:?}");
    let missing = verify(99, COPY).await;
    assert!(matches!(missing, Err(BlobError::Missing { .. })), "{missing:?}");
    flip(&it.server.data_file(blob(1)), 0);
    flip(&it.server.data_file(blob(2)), 40 * CHUNK + 2);
    truncate(&it.server.data_file(blob(3)), size - 1);
    flip(&it.server.sidecar(blob(4)), 100);
    std::fs::remove_file(it.server.sidecar(blob(5))).expect("removed");
    for number in 1..6 {
        let damaged = verify(number, COPY).await;
        assert!(matches!(damaged, Err(BlobError::Corrupt { .. })), "{number}: {damaged:?}");
        wait_until("it is told", || !damage_reports(&it.directory, blob(number)).is_empty()).await;
    }

    it.directory.raise_epoch(it.at().server_id);
    wait_until("it takes the new epoch", || it.server.server.epoch() == Some(Epoch(2))).await;
    let stamped = verify(0, COPY).await.expect("verified");
    assert_eq!(stamped.epoch, Epoch(2), "the receipt is of the present epoch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_is_told_at_once_and_once() {
    let it = Single::start().await;
    let target_dir = TempDir::new().expect("a temporary directory");
    let target = Server::start(target_dir.path(), vec![it.node.clone()]).await;
    let bytes = content(3 * CHUNK);
    let (read, headed, copied, replaced) = (BlobId(11), BlobId(12), BlobId(13), BlobId(14));
    for blob_id in [read, headed, copied, replaced] {
        put(&it.blobs, &it.at(), blob_id, &bytes).await.expect("stored");
        flip(&it.server.data_file(blob_id), 2 * CHUNK);
    }
    flip(&it.server.sidecar(headed), 3);

    for _ in 0..20 {
        assert!(get(&it.blobs, &it.at(), read, None).await.is_err());
        assert!(it.blobs.head(&it.at(), headed).await.is_err());
    }
    let order = CopyOrder {
        blob_id: copied,
        copy_id: CopyId(5),
        source: it.at(),
        size: bytes.len() as u64,
        sha256: sha256(&bytes),
        bytes_per_second: None,
        replaces: Vec::new(),
    };
    assert!(it.blobs.copy(&target.address(), order).await.is_err());
    for blob_id in [read, headed, copied] {
        wait_until("it is told", || !damage_reports(&it.directory, blob_id).is_empty()).await;
    }

    // What was replaced before it could be told is not told.
    it.directory.with_ledger(|ledger| ledger.refuses_reports = true);
    assert!(get(&it.blobs, &it.at(), replaced, None).await.is_err());
    it.blobs.delete(&it.at(), replaced, COPY).await.expect("deleted");
    it.blobs.put(&it.at(), new_copy(replaced, CopyId(2), None), body(&bytes)).await.expect("stored");
    it.directory.with_ledger(|ledger| ledger.refuses_reports = false);
    let last = BlobId(15);
    put(&it.blobs, &it.at(), last, &bytes).await.expect("stored");
    flip(&it.server.data_file(last), 0);
    assert!(get(&it.blobs, &it.at(), last, None).await.is_err());
    wait_until("the last one is told", || !damage_reports(&it.directory, last).is_empty()).await;
    assert_eq!(damage_reports(&it.directory, replaced), []);
    for blob_id in [read, headed, copied, last] {
        let reports = damage_reports(&it.directory, blob_id);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!((reports[0].server_id, reports[0].epoch), (it.at().server_id, Epoch(1)));
        let item = &reports[0].items[..];
        assert_eq!((item.len(), item[0].blob_id, item[0].size), (1, blob_id, bytes.len() as u64));
        assert_eq!(item[0].copy, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_copy_that_nobody_can_tell_goes_without_its_id() {
    let it = Single::start().await;
    let (good, bad_chunk, bad_record) = (BlobId(1), BlobId(2), BlobId(3));
    for blob_id in [good, bad_chunk, bad_record] {
        put(&it.blobs, &it.at(), blob_id, &content(CHUNK)).await.expect("stored");
    }
    flip(&it.server.data_file(bad_chunk), 0);
    flip(&it.server.sidecar(bad_record), 0);
    for blob_id in [good, bad_chunk, bad_record, BlobId(4)] {
        it.blobs.delete(&it.at(), blob_id, CopyId(0)).await.expect("204");
    }
    let held = it.blobs.inventory(&it.at(), None, 100).await.expect("listed");
    assert_eq!(held.items.iter().map(|item| item.blob_id).collect::<Vec<_>>(), [good, bad_chunk]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_no_faster_than_it_is_asked_to_be() {
    let it = Single::start().await;
    let target_dir = TempDir::new().expect("a temporary directory");
    let target = Server::start(target_dir.path(), vec![it.node.clone()]).await;
    let bytes = content(1024 * 1024);
    let copy = async |blob_id, bytes_per_second| {
        put(&it.blobs, &it.at(), blob_id, &bytes).await.expect("stored");
        let begun = Instant::now();
        let (size, sha256) = (bytes.len() as u64, sha256(&bytes));
        let order =
            CopyOrder { blob_id, copy_id: COPY, source: it.at(), size, sha256, bytes_per_second, replaces: Vec::new() };
        it.blobs.copy(&target.address(), order).await.expect("copied");
        begun.elapsed()
    };
    let (slow, fast) = tokio::join!(copy(BlobId(1), Some(512 * 1024)), copy(BlobId(2), None));
    assert!(slow >= Duration::from_secs(2), "{slow:?}");
    assert!(fast < slow, "{fast:?} {slow:?}");
    assert!(get(&it.blobs, &target.address(), BlobId(1), None).await.expect("read") == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrub_finds_what_nobody_reads() {
    let directory = Directory::new();
    let node = directory.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let never = Scrubbing { interval: Duration::ZERO, max_rate: 1024 * 1024 };
    let server = Server::start_scrubbing(dir.path(), vec![node.clone()], never).await;
    let blob = |number: u128| BlobId(number << 112);
    for number in 1..=40 {
        put(&client(), &server.address(), blob(number), &content(16 * CHUNK)).await.expect("stored");
    }
    flip(&server.data_file(blob(33)), 5);
    // Forty seconds' work, so that there is time to stop it in the middle. Whoever asks again meanwhile changes nothing, and
    // a restart, at full speed, goes on where it was.
    client().scrub(&server.address()).await.expect("taken");
    wait_for_metric(server.server.monitored_at(), "scrubbed_blobs_total", 2).await;
    client().scrub(&server.address()).await.expect("taken");
    wait_for_metric(server.server.monitored_at(), "scrubbed_blobs_total", 4).await;
    assert_eq!(metric(server.server.monitored_at(), "scrub_last_completed").await, 0);
    assert_eq!(damage_reports(&directory, blob(33)), []);
    server.server.shutdown().await.expect("stopped");

    let at_once = Scrubbing { max_rate: 1024 * 1024 * 1024, ..never };
    let server = Server::start_scrubbing(dir.path(), vec![node.clone()], at_once).await;
    wait_for_metric(server.server.monitored_at(), "scrub_last_completed", 1).await;
    assert!(metric(server.server.monitored_at(), "scrubbed_blobs_total").await <= 36);
    assert_eq!(metric(server.server.monitored_at(), "scrub_damaged_total").await, 1);
    wait_until("it is told", || !damage_reports(&directory, blob(33)).is_empty()).await;
    let before = metric(server.server.monitored_at(), "scrubbed_blobs_total").await;
    server.server.shutdown().await.expect("stopped");
    assert!(before > 0);

    // By itself, again and again.
    directory.with_ledger(|ledger| ledger.reports.clear());
    let always = Scrubbing { interval: Duration::from_secs(1), max_rate: 1024 * 1024 * 1024 };
    let server = Server::start_scrubbing(dir.path(), vec![node], always).await;
    wait_for_metric(server.server.monitored_at(), "scrubbed_blobs_total", 80).await;
    wait_until("it is told by the new process", || !damage_reports(&directory, blob(33)).is_empty()).await;
}

async fn wait_for_metric(at: SocketAddr, name: &str, least: u64) {
    let deadline = Instant::now() + DEADLINE;
    while metric(at, name).await < least {
        assert!(Instant::now() < deadline, "not in time: {name} is to be {least}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

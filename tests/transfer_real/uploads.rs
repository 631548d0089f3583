//! Bodies to several file servers at once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use ringmaster::client::blobs::ServerAddress;
use ringmaster::directory::transfer::upload::{Upload, UploadError, Uploaded, discard, restore_copies, upload};
use ringmaster::domain::{BlobId, CopyId, Sha256};

use crate::content::{Content, Dice};
use crate::proxy::{Mode, Proxy};
use crate::servers::{DEADLINE, Servers};

fn order(blob_id: BlobId, targets: Vec<(ServerAddress, CopyId)>, length: Option<u64>) -> Upload {
    Upload { blob_id, targets, length, max_bytes: 1 << 40, expected_sha256: None, whole: None }
}

/// The copies are on the disks, whole, in the order of the targets, and say so themselves.
async fn check(servers: &Servers, content: Content, uploaded: &Uploaded) {
    assert_eq!((uploaded.size, uploaded.sha256), (content.size, content.sha256()));
    for (copy, at) in uploaded.copies.iter().zip(&uploaded.servers) {
        assert_eq!(copy.server_id, at.server_id);
        let bytes = std::fs::read(servers.server(copy.server_id).data_of(uploaded.blob_id)).expect("readable");
        assert!(bytes == content.bytes(0, content.size), "other bytes on the disk of {}", copy.server_id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_target_has_the_bytes() {
    let servers = Servers::start(3).await;
    let piece = 128 * 1024;
    for (at, size) in [0, 1, 4_096, piece - 1, piece, piece + 1, 3 * piece, 5 * 1024 * 1024 + 7].into_iter().enumerate()
    {
        let content = Content { seed: at as u64, size };
        for (length, frame) in [(Some(size), 1 << 20), (None, 70_001), (Some(size), size / 300 + 1)] {
            let blob_id = servers.fresh_blob();
            let targets = servers.targets([2, 0, 1]);
            let ids: Vec<_> = targets.iter().map(|(at, copy)| (at.server_id, *copy)).collect();
            let wanted = Upload { expected_sha256: Some(content.sha256()), ..order(blob_id, targets, length) };
            let uploaded = upload(&servers.blobs, wanted, content.body(frame)).await.expect("all servers are well");
            assert_eq!(uploaded.lost, []);
            assert_eq!(uploaded.copies.iter().map(|copy| (copy.server_id, copy.copy_id)).collect::<Vec<_>>(), ids);
            check(&servers, content, &uploaded).await;

            let copies = uploaded.servers.into_iter().zip(uploaded.copies.iter().map(|copy| copy.copy_id)).collect();
            discard(&servers.blobs, blob_id, copies).await;
            servers.wait_until_gone(blob_id).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_what_was_announced_leaves_nothing() {
    let servers = Servers::start(2).await;
    let mut dice = Dice::new("a body that is not what was announced");
    for size in [0, 1, 100, 128 * 1024, 128 * 1024 + 1, 700_000] {
        let content = Content { seed: dice.next(), size };
        let frame = 1 + dice.below(200_000);
        let blob_id = servers.fresh_blob();
        let start = |length| order(blob_id, servers.targets([0, 1]), length);

        let shorter = upload(&servers.blobs, start(Some(size + 1)), content.body(frame)).await;
        assert!(matches!(shorter, Err(UploadError::ClientBroke(_))), "{shorter:?}");
        servers.wait_until_gone(blob_id).await;

        let other = Upload { expected_sha256: Some(Sha256([1; 32])), ..start(None) };
        let other = upload(&servers.blobs, other, content.body(frame)).await;
        assert!(matches!(other, Err(UploadError::ChecksumMismatch)), "{other:?}");
        servers.wait_until_gone(blob_id).await;
        let other = Upload { expected_sha256: Some(Sha256([1; 32])), ..start(Some(size)) };
        let other = upload(&servers.blobs, other, content.body(frame)).await;
        assert!(matches!(other, Err(UploadError::ChecksumMismatch)), "{other:?}");
        servers.wait_until_gone(blob_id).await;

        for length in [None, Some(size)] {
            let broken = content.body(frame).map(|frame| frame.map_err(|never| match never {}));
            let broken = broken.chain(stream::iter([Err("reset")]));
            let broken = upload(&servers.blobs, start(length), broken).await;
            assert!(matches!(broken, Err(UploadError::ClientBroke(_))), "{broken:?}");
            servers.wait_until_gone(blob_id).await;
        }
        if size > 0 {
            let longer = upload(&servers.blobs, start(Some(size - 1)), content.body(frame)).await;
            assert!(matches!(longer, Err(UploadError::ClientBroke(_))), "{longer:?}");
            servers.wait_until_gone(blob_id).await;

            let large = Upload { max_bytes: size - 1, ..start(None) };
            let large = upload(&servers.blobs, large, content.body(frame)).await;
            assert!(matches!(large, Err(UploadError::TooLarge)), "{large:?}");
            servers.wait_until_gone(blob_id).await;
        }
    }
}

/// The request's future is dropped when its connection goes away, at any moment: also when the servers have all bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_dropped_leaves_nothing() {
    let servers = Servers::start(2).await;
    let mut dice = Dice::new("an upload that is dropped");
    let mut finished = 0;
    for round in 0..60 {
        let content = Content { seed: dice.next(), size: dice.below(4 << 20) };
        let blob_id = servers.fresh_blob();
        let length = (round % 2 == 0).then_some(content.size);
        let wanted = order(blob_id, servers.targets([0, 1]), length);
        let whole = upload(&servers.blobs, wanted, content.body(1 + dice.below(100_000)));
        match tokio::time::timeout(Duration::from_micros(dice.below(30_000)), whole).await {
            Err(_) => {}
            Ok(stored) => {
                finished += 1;
                let stored = stored.expect("all servers are well");
                let copies = stored.servers.into_iter().zip(stored.copies.iter().map(|copy| copy.copy_id)).collect();
                discard(&servers.blobs, blob_id, copies).await;
            }
        }
        servers.wait_until_gone(blob_id).await;
    }
    eprintln!("{finished} of 60 were not dropped in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_die_are_dropped_and_replaced() {
    let mut dice = Dice::new("servers that die");
    let mut servers = Servers::start(4).await;
    let (mut whole, mut lost, mut none) = (0, 0, 0);
    for _ in 0..40 {
        let content = Content { seed: dice.next(), size: 1 + dice.below(6 << 20) };
        let blob_id = servers.fresh_blob();
        let length = (dice.below(2) == 0).then_some(content.size);
        let last = servers.servers.len() - 1;
        let wanted = order(blob_id, servers.targets([last - 3, last - 2, last - 1]), length);
        let blobs = servers.blobs.clone();
        let frame = 1 + dice.below(300_000);
        let running = tokio::spawn(async move { upload(&blobs, wanted, content.body(frame)).await });
        let mut killed = Vec::new();
        for at in [last - 3, last - 2, last - 1] {
            if dice.below(3) > 0 {
                tokio::time::sleep(Duration::from_micros(dice.below(20_000))).await;
                servers.servers[at].kill();
                killed.push(servers.servers[at].address.server_id);
            }
        }
        let outcome = running.await.expect("no panic");
        match outcome {
            Ok(uploaded) => {
                assert_eq!(uploaded.copies.len() + uploaded.lost.len(), 3);
                assert!(uploaded.lost.iter().all(|id| killed.contains(id)), "{:?} of {killed:?}", uploaded.lost);
                check(&servers, content, &uploaded).await;
                whole += usize::from(uploaded.lost.is_empty());
                lost += usize::from(!uploaded.lost.is_empty());
                let sources = uploaded.servers.iter().filter(|at| !killed.contains(&at.server_id)).count();
                if !uploaded.lost.is_empty() && sources == uploaded.servers.len() {
                    let spare = servers.targets([last]);
                    let made = restore_copies(&servers.blobs, &uploaded, spare, uploaded.lost.len()).await;
                    assert_eq!(made.copies.len(), 1, "the fourth server is well");
                    let bytes = std::fs::read(servers.servers[last].data_of(blob_id)).expect("readable");
                    assert!(bytes == content.bytes(0, content.size));
                }
            }
            Err(UploadError::NoServerLeft(errors)) => {
                assert_eq!((errors.len(), killed.len()), (3, 3));
                none += 1;
            }
            Err(other) => panic!("{other}"),
        }
        for _ in &killed {
            servers.add().await;
        }
        // Four that live are always the last ones.
        servers.servers.retain(|server| !killed.contains(&server.address.server_id));
    }
    eprintln!("whole {whole}, with losses {lost}, none left {none}");
    assert!(lost > 0, "no server died in mid-upload: the test proves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_taking_bytes_is_dropped() {
    let servers = Servers::start(3).await;
    let content = Content { seed: 5, size: 64 << 20 };
    let proxy = Proxy::start_with_limit(&servers.servers[1].address.url, 3 << 20, Mode::Hold).await;
    let mut targets = servers.targets([0, 1, 2]);
    targets[1].0.url.clone_from(&proxy.url);
    let stalled = targets[1].0.server_id;
    let start = Instant::now();
    let wanted = order(servers.fresh_blob(), targets, Some(content.size));
    let uploaded = upload(&servers.blobs, wanted, content.body(1 << 20)).await.expect("two servers are well");
    assert_eq!(uploaded.lost, [stalled]);
    assert!(start.elapsed() >= Duration::from_secs(3), "it was not given its time");
    assert!(start.elapsed() < DEADLINE);
    check(&servers, content, &uploaded).await;
}

/// Both stall together, as they do when their disks are one, and recover after five seconds: one of them is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_server_is_given_more_time() {
    let servers = Servers::start(2).await;
    let content = Content { seed: 6, size: 64 << 20 };
    let mut targets = servers.targets([0, 1]);
    let mut proxies = Vec::new();
    for (at, _) in &mut targets {
        let proxy = Proxy::start(&at.url).await;
        at.url.clone_from(&proxy.url);
        proxies.push(proxy);
    }
    let wanted = order(servers.fresh_blob(), targets, None);
    let blobs = servers.blobs.clone();
    let running = tokio::spawn(async move { upload(&blobs, wanted, content.body(1 << 20)).await });
    let deadline = Instant::now() + DEADLINE;
    while proxies.iter().any(|proxy| proxy.forwarded() < 2 << 20) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    proxies.iter().for_each(|proxy| proxy.set(Mode::Hold));
    tokio::time::sleep(Duration::from_secs(5)).await;
    proxies.iter().for_each(|proxy| proxy.set(Mode::Forward));
    let uploaded = running.await.expect("no panic").expect("one was kept");
    assert_eq!((uploaded.copies.len(), uploaded.lost.len()), (1, 1));
    check(&servers, content, &uploaded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_owes_its_receipt_is_dropped() {
    let servers = Servers::start(2).await;
    // Less than what the sockets take up, so that only the receipt is missing.
    let content = Content { seed: 7, size: 100_000 };
    let proxy = Proxy::start_with_limit(&servers.servers[0].address.url, 60_000, Mode::Hold).await;
    let mut targets = servers.targets([0, 1]);
    targets[0].0.url.clone_from(&proxy.url);
    let stalled = targets[0].0.server_id;
    let start = Instant::now();
    let wanted = order(servers.fresh_blob(), targets, None);
    let uploaded = upload(&servers.blobs, wanted, content.body(5_000)).await.expect("one server is well");
    assert_eq!(uploaded.lost, [stalled]);
    assert!(start.elapsed() >= Duration::from_secs(10) && start.elapsed() < DEADLINE);
    check(&servers, content, &uploaded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_costs_no_server() {
    let servers = &Servers::start(2).await;
    let content = Content { seed: 8, size: 600_000 };
    let uploads = [None, Some(content.size)].map(async |length| {
        let slow = content.body(200_000).then(async |frame| {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            frame
        });
        let pause = stream::once(async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Ok(Bytes::new())
        });
        let wanted = order(servers.fresh_blob(), servers.targets([0, 1]), length);
        let body = std::pin::pin!(pause.chain(slow));
        let uploaded = upload(&servers.blobs, wanted, body).await.expect("all servers are well");
        assert_eq!(uploaded.lost, []);
        check(servers, content, &uploaded).await;
    });
    futures_util::future::join_all(uploads).await;
}

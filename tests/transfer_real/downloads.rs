//! Blobs from whichever file server can give them.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use ringmaster::client::blobs::{BlobError, ServerAddress};
use ringmaster::directory::transfer::download::{Download, DownloadError, SourceFailed, download};
use ringmaster::directory::transfer::upload::{Upload, Uploaded, upload};
use ringmaster::domain::{BlobId, ServerId};

use crate::content::{Content, Dice};
use crate::proxy::{Mode, Proxy};
use crate::servers::{DEADLINE, Servers};

async fn stored(servers: &Servers, content: Content, which: impl IntoIterator<Item = usize>) -> Uploaded {
    let wanted = Upload {
        blob_id: servers.fresh_blob(),
        targets: servers.targets(which),
        length: Some(content.size),
        max_bytes: content.size,
        expected_sha256: None,
        whole: None,
    };
    upload(&servers.blobs, wanted, content.body(1 << 20)).await.expect("all servers are well")
}

/// What failed on the way.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<SourceFailed>>>);

impl Failures {
    fn report(&self) -> impl Fn(SourceFailed) + Send + Sync + 'static {
        let this = self.clone();
        move |failed| this.0.lock().expect("no panic").push(failed)
    }

    fn servers(&self) -> Vec<ServerId> {
        self.0.lock().expect("no panic").iter().map(|failed| failed.server_id).collect()
    }
}

async fn open(
    servers: &Servers,
    blob_id: BlobId,
    sources: &[ServerAddress],
    range: std::ops::Range<u64>,
) -> (Result<Download, DownloadError>, Failures) {
    let failures = Failures::default();
    let opened = download(servers.blobs.clone(), blob_id, sources.to_vec(), range, failures.report()).await;
    (opened, failures)
}

/// Reads to the end; every byte is the right one. Gives how far it came, and the error at the end if there was one.
async fn read(content: Content, start: u64, mut body: Download) -> (u64, Option<DownloadError>) {
    let mut at = start;
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(bytes) => {
                assert!(!bytes.is_empty());
                let end = at + bytes.len() as u64;
                assert!(bytes == content.bytes(at, end), "other bytes between {at} and {end}");
                at = end;
            }
            Err(error) => {
                assert!(body.next().await.is_none());
                return (at, Some(error));
            }
        }
    }
    (at, None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_range_is_the_right_bytes() {
    let servers = Servers::start(2).await;
    let mut dice = Dice::new("every range");
    let content = Content { seed: dice.next(), size: 3_000_001 };
    let blob = stored(&servers, content, [0, 1]).await;
    let mut ranges = vec![0..content.size, 0..1, 0..0, content.size - 1..content.size, 65_535..65_537];
    for _ in 0..40 {
        let start = dice.below(content.size);
        ranges.push(start..start + 1 + dice.below(content.size - start));
    }
    for range in ranges {
        let (body, failures) = open(&servers, blob.blob_id, &blob.servers, range.clone()).await;
        let (end, error) = read(content, range.start, body.expect("all servers are well")).await;
        assert_eq!((end, error), (range.end, None));
        assert_eq!(failures.servers(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_no_bytes_is_read_from_nobody() {
    let servers = Servers::start(1).await;
    let content = Content { seed: 0, size: 0 };
    let blob = stored(&servers, content, [0]).await;
    let (body, _) = open(&servers, blob.blob_id, &[], 0..0).await;
    assert_eq!(read(content, 0, body.expect("nothing is asked for")).await, (0, None));
}

/// Each source breaks its connections after so many bytes, and is then gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_breaks_off_is_followed_by_the_next() {
    let servers = Servers::start(3).await;
    let mut dice = Dice::new("a source that breaks off");
    let content = Content { seed: dice.next(), size: 8 << 20 };
    let blob = stored(&servers, content, [0, 1, 2]).await;
    let mut changed = 0;
    for _ in 0..60 {
        let mut sources = blob.servers.clone();
        let mut proxies = Vec::new();
        for at in sources.iter_mut().take(2) {
            let proxy = Proxy::start_with_limit(&at.url, dice.below(6 << 20), Mode::Cut).await;
            at.url.clone_from(&proxy.url);
            proxies.push(proxy);
        }
        let start = dice.below(content.size / 2);
        let (body, failures) = open(&servers, blob.blob_id, &sources, start..content.size).await;
        let (end, error) = read(content, start, body.expect("the third is well")).await;
        assert_eq!((end, error), (content.size, None));
        let failed = failures.servers();
        assert!(!failed.contains(&sources[2].server_id));
        assert!(failed.len() <= 4, "each is tried twice at most: {failed:?}");
        changed += failed.len();
    }
    assert!(changed >= 60, "only {changed} breaks: the test proves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_die_in_mid_download_are_not_noticed() {
    let mut dice = Dice::new("servers that die in mid-download");
    for round in 0..15 {
        let mut servers = Servers::start(3).await;
        let content = Content { seed: dice.next(), size: 24 << 20 };
        let blob = stored(&servers, content, [0, 1, 2]).await;
        let (body, failures) = open(&servers, blob.blob_id, &blob.servers, 0..content.size).await;
        let body = body.expect("all servers are well");
        let reading = tokio::spawn(read(content, 0, body));
        let all = round % 5 == 4;
        for at in 0..if all { 3 } else { 2 } {
            tokio::time::sleep(Duration::from_micros(dice.below(15_000))).await;
            servers.servers[at].kill();
        }
        let (end, error) = reading.await.expect("the bytes are right");
        if end == content.size {
            assert_eq!(error, None);
        } else {
            assert!(all, "one server was left, and yet: {error:?}, {:?}", failures.servers());
            assert_eq!(error, Some(DownloadError::NoReplica), "a short body never ends well");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_stalls_is_followed_by_the_next() {
    let servers = Servers::start(2).await;
    let content = Content { seed: 3, size: 16 << 20 };
    let blob = stored(&servers, content, [0, 1]).await;
    // In the handshake, which has the time of a connection, and in the middle of the bytes.
    for (limit, patience) in [(10, 1), (2 << 20, 3)] {
        let proxy = Proxy::start_with_limit(&blob.servers[0].url, limit, Mode::Hold).await;
        let sources = [ServerAddress { url: proxy.url.clone(), ..blob.servers[0].clone() }, blob.servers[1].clone()];
        let start = Instant::now();
        let (body, failures) = open(&servers, blob.blob_id, &sources, 0..content.size).await;
        let (end, error) = read(content, 0, body.expect("the second is well")).await;
        assert_eq!((end, error), (content.size, None));
        assert_eq!(failures.servers(), [sources[0].server_id]);
        assert!(start.elapsed() >= Duration::from_secs(patience) && start.elapsed() < DEADLINE);
    }
}

/// A consumer that pauses is no stall of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_costs_no_source() {
    let servers = Servers::start(1).await;
    let content = Content { seed: 4, size: 32 << 20 };
    let blob = stored(&servers, content, [0]).await;
    let (body, failures) = open(&servers, blob.blob_id, &blob.servers, 0..content.size).await;
    let mut taken = 0;
    let slow = body.expect("it is well").then(move |chunk| {
        taken += 1;
        let pause = Duration::from_secs(if taken == 3 || taken == 5 { 4 } else { 0 });
        async move {
            tokio::time::sleep(pause).await;
            chunk
        }
    });
    assert_eq!(read(content, 0, slow.boxed()).await, (content.size, None));
    assert_eq!(failures.servers(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_chunk_is_served_from_the_other_copy() {
    let servers = Servers::start(2).await;
    let mut dice = Dice::new("a damaged chunk");
    let content = Content { seed: dice.next(), size: 4 << 20 };
    let blob = stored(&servers, content, [0, 1]).await;
    let damage = |server: usize, at: u64| {
        let file = servers.servers[server].data_of(blob.blob_id);
        let file = OpenOptions::new().write(true).read(true).open(file).expect("it is there");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("inside");
        file.write_all_at(&[!byte[0]], at).expect("inside");
    };
    let first = dice.below(content.size);
    damage(0, first);
    let (body, failures) = open(&servers, blob.blob_id, &blob.servers, 0..content.size).await;
    assert_eq!(read(content, 0, body.expect("the second is well")).await, (content.size, None));
    assert_eq!(failures.servers(), [blob.servers[0].server_id]);

    damage(1, first);
    let (body, _) = open(&servers, blob.blob_id, &blob.servers, first..content.size).await;
    assert_eq!(body.err(), Some(DownloadError::Corrupt), "known before the first byte");
    let (body, failures) = open(&servers, blob.blob_id, &blob.servers, 0..content.size).await;
    match body {
        Err(error) => assert_eq!(error, DownloadError::Corrupt),
        Ok(body) => {
            let (end, error) = read(content, 0, body).await;
            assert!(end <= first);
            assert_eq!(error, Some(DownloadError::Corrupt), "{:?}", failures.0.lock().expect("no panic"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_source_is_an_error_before_the_first_byte() {
    let mut servers = Servers::start(2).await;
    let content = Content { seed: 1, size: 1_000 };
    let blob = stored(&servers, content, [0]).await;

    let (body, _) = open(&servers, blob.blob_id, &[], 0..content.size).await;
    assert_eq!(body.err(), Some(DownloadError::NoReplica));

    let without = servers.servers[1].address.clone();
    let (body, failures) = open(&servers, blob.blob_id, std::slice::from_ref(&without), 0..content.size).await;
    assert_eq!(body.err(), Some(DownloadError::NoReplica));
    let failed = failures.0.lock().expect("no panic").pop().map(|failed| failed.error);
    assert!(matches!(failed, Some(BlobError::Missing { .. })), "{failed:?}");

    servers.servers[0].kill();
    let start = Instant::now();
    let (body, failures) = open(&servers, blob.blob_id, &blob.servers, 0..content.size).await;
    assert_eq!(body.err(), Some(DownloadError::NoReplica));
    assert_eq!(failures.servers(), [blob.servers[0].server_id; 2], "it is tried once more when nothing else is left");
    assert!(start.elapsed() < Duration::from_secs(9));
}

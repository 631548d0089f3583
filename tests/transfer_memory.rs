//! A large body in a bounded space. In a process of its own, whose memory is measured.
#![allow(clippy::print_stderr, reason = "measurements and seeds must be seen")]

use std::time::Instant;

use futures_util::StreamExt;

use ringmaster::directory::transfer::download::download;
use ringmaster::directory::transfer::repeat::{Summary, hash_only};
use ringmaster::directory::transfer::upload::{Upload, upload};

#[path = "transfer_real/content.rs"]
#[allow(dead_code, reason = "shared with tests/transfer_real.rs")]
mod content;
#[path = "transfer_real/servers.rs"]
#[allow(dead_code, reason = "shared with tests/transfer_real.rs")]
mod servers;
#[path = "fileserver_support/tls.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of the file server use all of it")]
mod tls;

use content::Content;
use servers::Servers;

const SIZE: u64 = 256 << 20;
/// Three file servers and their clients are in this process, too. Measured: 12 MiB.
const ALLOWED: u64 = 96 << 20;

/// The most memory that the process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_takes_little_memory() {
    let servers = Servers::start(3).await;
    let order = |size| Upload {
        blob_id: servers.fresh_blob(),
        targets: servers.targets([0, 1, 2]),
        length: Some(size),
        max_bytes: size,
        expected_sha256: None,
        whole: None,
    };
    // Whatever is allocated once should be there before it counts.
    let warm = Content { seed: 1, size: 8 << 20 };
    upload(&servers.blobs, order(warm.size), warm.body(1 << 20)).await.expect("all servers are well");

    let before = peak();
    let content = Content { seed: 2, size: SIZE };
    let start = Instant::now();
    // Frames larger than a piece, so that they have to be cut.
    let uploaded = upload(&servers.blobs, order(SIZE), content.body(1 << 20)).await.expect("all servers are well");
    eprintln!("upload to three: {:.0} MiB/s", 256.0 / start.elapsed().as_secs_f64());
    assert_eq!((uploaded.copies.len(), uploaded.size), (3, SIZE));

    let start = Instant::now();
    let body = download(servers.blobs.clone(), uploaded.blob_id, uploaded.servers.clone(), 0..SIZE, |_| {}).await;
    let body = body.expect("all servers are well");
    let summary =
        hash_only(body.inspect(|chunk| assert!(chunk.as_ref().is_ok_and(|it| it.len() <= 4 << 20))), SIZE).await;
    eprintln!("download: {:.0} MiB/s", 256.0 / start.elapsed().as_secs_f64());
    assert_eq!(summary.expect("it is whole"), Summary { size: SIZE, sha256: uploaded.sha256 });

    let grown = peak() - before;
    eprintln!("memory grew by {} MiB", grown >> 20);
    assert!(grown < ALLOWED, "it grew by {} MiB", grown >> 20);
}

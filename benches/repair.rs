//! What a repair costs those who read meanwhile, and how long a dead server's files take to be whole again.
//!
//! `cargo bench --bench repair` starts three directory nodes and five file servers as real processes, writes files, and
//! reads at random with a few clients: first in peace, then while everything that a killed file server held is being
//! copied at the default throttle. Both are measured in one run, in turns of the same length. It fails when the p99 of
//! the reads during the repair is more than twice that in peace. `FILES`, `BYTES` and `TURN_MS` in the environment change the
//! sizes, `BANDWIDTH` and `STREAMS` the throttle.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's output is its purpose")]

#[allow(dead_code, reason = "the harness of the tests has more than this needs")]
#[path = "../tests/cluster/support.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Cluster, Setup, noise};

const CLIENTS: usize = 4;
const WRITERS: usize = 8;

fn main() -> ExitCode {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(run())
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn run() -> ExitCode {
    let (files, bytes) = (number("FILES", 3000), number("BYTES", 512 * 1024) as usize);
    let turn = Duration::from_millis(number("TURN_MS", 10_000));
    let mut setup = Setup::new(3, 5);
    for (name, key) in
        [("BANDWIDTH", "RINGMASTER__REPLICATION__BANDWIDTH"), ("STREAMS", "RINGMASTER__REPLICATION__STREAMS")]
    {
        if let Ok(value) = std::env::var(name) {
            setup = setup.with(key, value);
        }
    }
    let mut cluster = Cluster::set_up(setup).await;
    let start = Instant::now();
    fill(&cluster, files, bytes).await;
    println!("{files} files of {bytes} bytes written in {:.1} s", start.elapsed().as_secs_f64());

    measure(&cluster, files, turn / 2).await; // Warms the caches.
    let mut peace = measure(&cluster, files, turn).await;

    let killed = Instant::now();
    cluster.servers[0].kill();
    let leader = cluster.leader().await;
    let row = loop {
        let ring = cluster.get(leader, "/ring").await.1;
        let url = cluster.servers[0].url.as_str();
        let row = ring["servers"].as_array().and_then(|rows| rows.iter().find(|row| row["url"] == url).cloned());
        match row {
            Some(row) if row["state"] == "down" => break row,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let detected = killed.elapsed();
    println!("declared down after {:.1} s with {} copies to replace", detected.as_secs_f64(), row["moving"]);
    let mut repair = Vec::new();
    let mut left = u64::MAX;
    let copied_before = cluster.metric(leader, "ringmaster_repair_bytes_total").await;
    while left > 0 {
        let turned = measure(&cluster, files, Duration::from_millis(500)).await;
        left = cluster.get(leader, "/replication").await.1["pending"].as_u64().expect("a number");
        // The last turn may have been over before the repair was.
        if left > 0 {
            repair.extend(turned);
        }
        assert!(killed.elapsed() < Duration::from_secs(900), "the repair does not end");
    }
    let whole = killed.elapsed();
    let copied = cluster.metric(leader, "ringmaster_repair_bytes_total").await - copied_before;
    let seconds = (whole - detected).as_secs_f64();
    println!(
        "whole again {:.1} s after the kill: {} MiB copied at {:.1} MiB/s",
        whole.as_secs_f64(),
        copied >> 20,
        copied as f64 / seconds / f64::from(1 << 20),
    );
    peace.sort_unstable();
    repair.sort_unstable();
    println!("\n{:>8} {:>8} {:>10} {:>10}", "", "reads", "p50", "p99");
    for (name, times) in [("peace", &peace), ("repair", &repair)] {
        println!("{name:>8} {:>8} {:>7} µs {:>7} µs", times.len(), percentile(times, 50), percentile(times, 99));
    }
    let holds = !repair.is_empty() && percentile(&repair, 99) <= 2 * percentile(&peace, 99);
    println!("{} p99 during the repair at most twice that in peace", if holds { "ok    " } else { "BROKEN" });
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn fill(cluster: &Cluster, files: u64, bytes: usize) {
    let body = bytes::Bytes::from(noise(1, bytes));
    let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let tasks: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (http, url, token) = (cluster.http.clone(), cluster.url(0).to_owned(), cluster.admin.token.clone());
            let (next, body) = (next.clone(), body.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if number >= files {
                        return;
                    }
                    let call = format!("{url}/write?path=/f{number}");
                    let answer = http.put(call).bearer_auth(&token).body(body.clone()).send().await.expect("an answer");
                    assert!(answer.status().is_success(), "{}", answer.status());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer ends");
    }
}

/// Reads random files for so long; the microseconds that each read took, from the request to its last byte.
async fn measure(cluster: &Cluster, files: u64, turn: Duration) -> Vec<u64> {
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let url = cluster.url(client % 3).to_owned();
            let (http, token) = (cluster.http.clone(), cluster.admin.token.clone());
            tokio::spawn(async move {
                let mut state = client as u64 + 1;
                let (start, mut times) = (Instant::now(), Vec::new());
                while start.elapsed() < turn {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let call = format!("{url}/read?path=/f{}", (state >> 33) % files);
                    let began = Instant::now();
                    let answer = http.get(call).bearer_auth(&token).send().await.expect("an answer");
                    assert!(answer.status().is_success(), "{}", answer.status());
                    answer.bytes().await.expect("the bytes");
                    times.push(began.elapsed().as_micros() as u64);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a reader ends"));
    }
    times
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

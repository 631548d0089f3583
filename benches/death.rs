//! The death of a file server that holds many files costs what that of one with few does, through a whole cluster.
//!
//! `cargo bench --bench death` starts two clusters of real processes, each with three directory nodes and two file servers,
//! and writes 200,000 small files to one and 200 to the other, so that each file server holds all of its cluster's. Then
//! it kills a file server of each in turn (`kill -9`), several times, and takes it back: how many entries are in the Raft
//! log for the death, how long until the leader says `down`, and how long that one entry took to be agreed on and applied,
//! as the nodes' own metrics tell. There is no third server, so nothing is copied that would be counted, too. It fails
//! when a death costs more than one entry. `FILES`, `ROUNDS` and `WRITERS` in the environment change the sizes.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's output is its purpose")]

#[allow(dead_code, reason = "the harness of the tests has more than this needs")]
#[path = "../tests/cluster/support.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Cluster, Setup};

const FEW: u64 = 200;
const HEARTBEAT: Duration = Duration::from_millis(200);
const DEAD_AFTER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(run())
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

struct Subject {
    files: u64,
    cluster: Cluster,
    deaths: Vec<Death>,
}

struct Death {
    entries: u64,
    /// From `kill -9` until the leader's `/ring` says `down`.
    seen: Duration,
    /// The files that lost a copy, as the leader counts them at once.
    named: u64,
}

async fn run() -> ExitCode {
    let (many, rounds, writers) = (number("FILES", 200_000), number("ROUNDS", 3), number("WRITERS", 64));
    let mut subjects = Vec::new();
    for files in [FEW, many] {
        let setup = Setup::new(3, 2)
            .with("RINGMASTER__DETECTION__HEARTBEAT", format!("{}ms", HEARTBEAT.as_millis()))
            .with("RINGMASTER__DETECTION__DEAD_AFTER", format!("{}ms", DEAD_AFTER.as_millis()));
        let cluster = Cluster::set_up(setup).await;
        let start = Instant::now();
        fill(&cluster, files, writers).await;
        println!("{files} files written in {:.1} s", start.elapsed().as_secs_f64());
        subjects.push(Subject { files, cluster, deaths: Vec::new() });
    }
    for _ in 0..rounds {
        for subject in &mut subjects {
            subject.die().await;
        }
    }
    println!("\n{:>8} {:>12} {:>20} {:>26}", "files", "files named", "entries per death", "declared down after");
    let mut good = true;
    for subject in &subjects {
        let of = |pick: fn(&Death) -> String| subject.deaths.iter().map(pick).collect::<Vec<_>>().join(" ");
        println!(
            "{:>8} {:>12} {:>20} {:>26}",
            subject.files,
            subject.deaths[0].named,
            of(|death| death.entries.to_string()),
            of(|death| format!("{:.2}s", death.seen.as_secs_f64())),
        );
        good &= subject.deaths.iter().all(|death| death.entries == 1 && death.named == subject.files);
    }
    println!("{} one entry for each death", if good { "ok    " } else { "BROKEN" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Subject {
    /// Kills the first file server, waits for the verdict, and takes it back with all that it held.
    async fn die(&mut self) {
        let cluster = &mut self.cluster;
        let leader = cluster.leader().await;
        quiet(cluster, leader).await;
        let before = cluster.metric(leader, "ringmaster_raft_applied_index").await;
        let start = Instant::now();
        cluster.servers[0].kill();
        let (seen, named) = loop {
            let row = row(cluster, leader).await;
            if row["state"] == "down" {
                break (start.elapsed(), row["moving"].as_u64().unwrap_or_default());
            }
            assert!(start.elapsed() < Duration::from_secs(60), "it is not declared down");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let entries = cluster.metric(leader, "ringmaster_raft_applied_index").await - before;
        self.deaths.push(Death { entries, seen, named });
        cluster.servers[0].start();
        let back = Instant::now();
        while row(cluster, leader).await["state"] != "up" || pending(cluster, leader).await > 0 {
            assert!(back.elapsed() < Duration::from_secs(900), "it is not taken back");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("{} files taken back in {:.1} s", self.files, back.elapsed().as_secs_f64());
    }
}

async fn row(cluster: &Cluster, leader: usize) -> Value {
    let ring = cluster.get(leader, "/ring").await.1;
    let url = cluster.servers[0].url.as_str();
    ring["servers"].as_array().and_then(|rows| rows.iter().find(|row| row["url"] == url).cloned()).unwrap_or_default()
}

async fn pending(cluster: &Cluster, leader: usize) -> u64 {
    cluster.get(leader, "/replication").await.1["pending"].as_u64().unwrap_or(u64::MAX)
}

/// Waits until the log has stood still for some heartbeats.
async fn quiet(cluster: &Cluster, leader: usize) {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < 10 * HEARTBEAT {
        let now = cluster.metric(leader, "ringmaster_raft_applied_index").await;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        tokio::time::sleep(HEARTBEAT / 4).await;
    }
}

async fn fill(cluster: &Cluster, files: u64, writers: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let leader = cluster.leader().await;
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (http, token) = (cluster.http.clone(), cluster.admin.token.clone());
            let (next, url) = (next.clone(), cluster.url(leader).to_owned());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= files {
                        return;
                    }
                    let call = format!("{url}/write?path=/{}/{number}", number / 1000);
                    let answer = http.put(call).bearer_auth(&token).body(number.to_string()).send().await;
                    let answer = answer.expect("an answer");
                    assert!(answer.status().is_success(), "{}", answer.status());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer ends");
    }
}

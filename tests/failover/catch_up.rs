//! A node that was away for so long that the log it lacks is gone gets a snapshot, whatever dies on the way.
//!
//! Sender and receiver are killed in turn, at random shares of the transfer, of its installation and of what follows. At
//! no time may a node have anything but one whole state: `ringmaster verify` finds all invariants kept, and at one index
//! all nodes have the same state to the byte.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Cluster, Setup, files_below, until};
use crate::work::{Work, from_environment};

const CLIENTS: usize = 4;

/// How far the test goes. `RINGMASTER_TEST_ENTRIES=300000 RINGMASTER_TEST_TRANSFER_KILLS=20` is the full size.
struct Size {
    entries: u64,
    kills: u64,
    snapshot_after: u64,
    keep: u64,
}

impl Size {
    fn of_this_run() -> Self {
        let entries = from_environment("RINGMASTER_TEST_ENTRIES").unwrap_or(3_000);
        let kills = from_environment("RINGMASTER_TEST_TRANSFER_KILLS").unwrap_or(4);
        // Several snapshots in a node's absence, and a log that holds a small part of it.
        Self { entries, kills, snapshot_after: entries / 6, keep: entries / 60 }
    }
}

fn dice() -> impl FnMut(u64) -> u64 {
    let seed = from_environment("RINGMASTER_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ 0xD15C);
    println!("RINGMASTER_TEST_SEED={seed} for the moments of the kills");
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |bound| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % bound
    }
}

/// Makes directories with long names that do not compress, the cheapest entries of the log that leave something in the
/// state, until so many more are applied. At nodes that run; what fails is repeated.
async fn make_entries(cluster: &Cluster, count: u64) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const WRITERS: usize = 24;
    let leader = cluster.leader().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<JoinHandle<()>> = (0..WRITERS)
        .map(|_| {
            let (http, token, stop) = (cluster.http.clone(), cluster.admin.token.clone(), Arc::clone(&stop));
            let url = format!("{}/mkdir", cluster.url(leader));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    let noise = hex::encode(crate::support::noise(number, 60));
                    let body = json!({"path": format!("/bulk-{}/{number}-{noise}", number % 64)});
                    drop(http.post(&url).bearer_auth(&token).json(&body).send().await);
                }
            })
        })
        .collect();
    let applied = async || cluster.metric(leader, "ringmaster_raft_applied_index").await;
    let (from, start) = (applied().await, Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let made = applied().await - from;
        if made >= count {
            println!("{made} entries in {:?}", start.elapsed());
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(60 + count / 200), "{made} of {count} entries");
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("no panic");
    }
}

fn bytes_below(dir: &Path) -> u64 {
    files_below(dir).iter().filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}

fn incoming(data: &Path) -> PathBuf {
    data.join("snapshots/incoming/db")
}

fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).collect()
}

/// The bytes of the newest snapshot that a node keeps.
fn snapshot_bytes(data: &Path) -> u64 {
    let whole = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
    let newest = names(&data.join("snapshots")).into_iter().filter(whole).max();
    newest.map_or(0, |name| bytes_below(&data.join("snapshots").join(name).join("db")))
}

fn verify(data: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ringmaster")).args(["--json", "verify"]).arg(data).output();
    let output = output.expect("the binary runs");
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {out}{error}", data.display());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["violations"], json!([]), "{}: {report}", data.display());
    report
}

/// Polls so often that a moment of a transfer is not missed. False where it did not come in time.
async fn moment(patience: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let start = Instant::now();
    while !holds().await {
        if start.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}

struct Trial {
    cluster: Cluster,
    size: Size,
    away: usize,
}

impl Trial {
    async fn leader(&self) -> usize {
        self.cluster.leader().await
    }

    async fn applied(&self, node: usize) -> u64 {
        self.cluster.metric(node, "ringmaster_raft_applied_index").await
    }

    /// Kills the node, and has the others go on until the log that it lacks is gone from both.
    async fn send_away(&mut self, entries: u64) {
        let had = self.applied(self.away).await;
        self.cluster.nodes[self.away].kill();
        make_entries(&self.cluster, entries).await;
        let others: Vec<usize> = (0..3).filter(|node| *node != self.away).collect();
        for _ in 0..20 {
            let mut gone = true;
            for node in &others {
                gone &= self.cluster.metric(*node, "ringmaster_raft_purged_index").await > had;
            }
            if gone {
                return;
            }
            make_entries(&self.cluster, self.size.snapshot_after / 2 + 1).await;
        }
        panic!("the log is not purged");
    }

    /// Waits for the share (in percent) of a transfer; above a hundred, for its installation. False where the node was
    /// quicker than we are.
    async fn wait_for(&self, share: u64, leader: usize) -> bool {
        let (from, to) = (self.cluster.nodes[leader].data.clone(), self.cluster.nodes[self.away].data.clone());
        let before = names(&to.join("state"));
        moment(Duration::from_secs(20), async || {
            let all = snapshot_bytes(&from).max(1);
            let arrived = bytes_below(&incoming(&to));
            let installs = !incoming(&to).exists()
                && names(&to.join("snapshots")).iter().any(|name| name.starts_with("new-"))
                || names(&to.join("state")).iter().any(|name| !before.contains(name) && name != "current.new");
            if share > 100 { installs } else { arrived > 0 && arrived * 100 >= all * share || installs }
        })
        .await
    }

    async fn caught_up(&self) {
        let target = self.applied(self.leader().await).await;
        let start = Instant::now();
        while self.cluster.nodes[self.away].is_started() && self.behind(target).await {
            assert!(
                start.elapsed() < Duration::from_secs(180),
                "it does not catch up\n{}",
                self.cluster.nodes[self.away].log_tail()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn behind(&self, target: u64) -> bool {
        let url = format!("{}/readyz", self.cluster.url(self.away));
        let ready = self.cluster.http.get(url).send().await.is_ok_and(|answer| answer.status().is_success());
        !ready || self.applied(self.away).await < target
    }

    /// Stops everything at one index, and compares. Again where an entry of the cluster's own came in between.
    async fn expect_one_state(&mut self) {
        for _ in 0..5 {
            until("all have applied the same", async || {
                let first = self.applied(0).await;
                first == self.applied(1).await && first == self.applied(2).await
            })
            .await;
            self.cluster.kill_all();
            let reports: Vec<Value> = self.cluster.nodes.iter().map(|node| verify(&node.data)).collect();
            if reports.iter().all(|report| report["applied_index"] == reports[0]["applied_index"]) {
                println!("{}", reports[0]);
                assert!(
                    reports.iter().all(|report| *report == reports[0]),
                    "one index, and other states: {reports:#?}"
                );
                return;
            }
            self.cluster.start_all();
            self.cluster.wait_ready().await;
        }
        panic!("the nodes were never killed at one index");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_for_long_catches_up_by_snapshot_whatever_is_killed() {
    let (size, mut roll) = (Size::of_this_run(), dice());
    let setup = Setup::new(3, 2)
        .with("RINGMASTER__RAFT__SNAPSHOT_AFTER", size.snapshot_after)
        .with("RINGMASTER__RAFT__KEEP_ENTRIES", size.keep)
        // Small, so that a transfer has many moments.
        .with("RINGMASTER__RAFT__SNAPSHOT_PIECE", 4096.max(size.entries / 10));
    let cluster = Cluster::set_up(setup).await;
    let away = cluster.follower().await;
    let mut trial = Trial { cluster, size, away };
    let work = Work::begin(&trial.cluster, CLIENTS).await;
    work.goes_on().await;
    let entries = trial.size.entries;
    trial.send_away(entries).await;
    trial.cluster.nodes[away].start();
    let (mut kills, mut receivers, mut resumed, mut received) = (0, 0, 0, 0);
    while kills < trial.size.kills {
        let share = 1 + roll(115);
        let leader = trial.leader().await;
        if !trial.wait_for(share, leader).await || trial.leader().await != leader {
            // It came through: away with it again, for as long as it takes.
            println!("it came through");
            trial.caught_up().await;
            let entries = trial.size.snapshot_after * 2;
            trial.send_away(entries).await;
            trial.cluster.nodes[away].start();
            continue;
        }
        let there = bytes_below(&incoming(&trial.cluster.nodes[away].data));
        kills += 1;
        work.mark();
        if kills % 2 == 1 {
            trial.cluster.nodes[away].kill();
            receivers += 1;
            println!("kill {kills}: the receiver, {share} % wanted, {there} bytes there");
            // In the state in which it is found: one whole one, the old or the new.
            if receivers % 2 == 0 {
                verify(&trial.cluster.nodes[away].data);
            }
            trial.cluster.nodes[away].start();
            // Counters begin anew with the process.
            let metric = async |name: &str| trial.cluster.metric(away, name).await;
            until("it answers", async || {
                let url = format!("{}/healthz", trial.cluster.url(away));
                trial.cluster.http.get(url).send().await.is_ok()
            })
            .await;
            moment(Duration::from_secs(5), async || metric("ringmaster_raft_snapshot_received_bytes_total").await > 0)
                .await;
            let again = metric("ringmaster_raft_snapshot_resumed_bytes_total").await;
            println!("  {again} of {there} bytes did not come again");
            resumed += again;
            received += metric("ringmaster_raft_snapshot_received_bytes_total").await;
        } else {
            trial.cluster.nodes[leader].kill();
            println!("kill {kills}: the sender, {share} % wanted, {there} bytes there");
            let next = trial.leader().await;
            assert_ne!(next, leader);
            trial.cluster.nodes[leader].start();
        }
    }
    trial.caught_up().await;
    trial.cluster.wait_ready().await;
    work.goes_on().await;
    println!("{kills} kills; {resumed} bytes did not come twice; {received} had come at once after a restart");
    let report = work.end(&trial.cluster).await;
    report.print("killed senders and receivers of snapshots");
    report.expect_clean();
    // What is not in use any more is gone from the disks.
    until("old snapshots are gone", async || {
        trial
            .cluster
            .nodes
            .iter()
            .all(|node| names(&node.data.join("snapshots")).len() == 1 && names(&node.data.join("state")).len() == 2)
    })
    .await;
    for node in &trial.cluster.nodes {
        let (log, state) = (bytes_below(&node.data.join("raft")), bytes_below(&node.data.join("state")));
        let snapshots = bytes_below(&node.data.join("snapshots"));
        println!("{}: log {log} bytes, state {state}, snapshot {snapshots}", node.name);
        // Twice its memtables of closed write-ahead logs, and what follows the last snapshot.
        assert!(
            log < (96 << 20) + (trial.size.snapshot_after + trial.size.keep) * 1_000,
            "{} keeps {log} bytes",
            node.name
        );
    }
    trial.expect_one_state().await;
}

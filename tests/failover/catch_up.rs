//! A node that was away for so long that the log it lacks is gone gets a snapshot, whatever dies on the way.
//!
//! Sender and receiver are killed in turn, at random shares of the transfer, of its installation and of what follows. At
//! no time may a node have anything but one whole state: `ringmaster verify` finds all invariants kept, and at one index
//! all nodes have the same state to the byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::agreement::{expect_same_state, expect_sound};
use crate::dice::Dice;
use crate::support::{Cluster, DEADLINE, Setup, files_below, until};
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

/// Fails where nothing has moved for a long time, however slow the machine is.
struct Movement {
    what: &'static str,
    last: Option<u64>,
    since: Instant,
}

impl Movement {
    fn of(what: &'static str) -> Self {
        Self { what, last: None, since: Instant::now() }
    }

    #[track_caller]
    fn is_at(&mut self, now: u64) {
        if self.last != Some(now) {
            (self.last, self.since) = (Some(now), Instant::now());
        }
        assert!(self.since.elapsed() < DEADLINE, "{}: nothing moves for {DEADLINE:?}, at {now}", self.what);
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
    let mut movement = Movement::of("entries that are made");
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let made = applied().await - from;
        if made >= count {
            println!("{made} entries in {:?}", start.elapsed());
            break;
        }
        movement.is_at(made);
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
        let installs = || {
            !incoming(&to).exists() && names(&to.join("snapshots")).iter().any(|name| name.starts_with("new-"))
                || names(&to.join("state")).iter().any(|name| !before.contains(name) && name != "current.new")
        };
        let target = self.applied(leader).await;
        let mut movement = Movement::of("a snapshot on its way");
        for poll in 1_u64.. {
            let (arrived, installing) = (bytes_below(&incoming(&to)), installs());
            if installing || share <= 100 && arrived > 0 && arrived * 100 >= snapshot_bytes(&from).max(1) * share {
                return share > 100 || !installing;
            }
            if poll.is_multiple_of(200) {
                if !self.behind(target).await {
                    return false;
                }
                movement.is_at(bytes_below(&to));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        false
    }

    /// Of a transfer that broke off, how much is there and how much there would have been. Nothing where it is over.
    fn broken_off(&self, leader: usize) -> Option<(u64, u64)> {
        let (from, to) = (&self.cluster.nodes[leader].data, &self.cluster.nodes[self.away].data);
        let (there, all) = (bytes_below(&incoming(to)), snapshot_bytes(from));
        (0 < there && there < all).then_some((there, all))
    }

    async fn caught_up(&self) {
        let target = self.applied(self.leader().await).await;
        let data = &self.cluster.nodes[self.away].data;
        let mut movement = Movement::of("a node that catches up");
        while self.behind(target).await {
            let log = self.cluster.nodes[self.away].log_text().len() as u64;
            movement.is_at(bytes_below(data).wrapping_add(log));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn behind(&self, target: u64) -> bool {
        let url = format!("{}/readyz", self.cluster.url(self.away));
        let ready = self.cluster.http.get(url).send().await.is_ok_and(|answer| answer.status().is_success());
        !ready || self.applied(self.away).await < target
    }

    /// What is not in use any more goes from the disks.
    async fn expect_no_rest(&self) {
        let nodes = &self.cluster.nodes;
        until("old snapshots are gone", async || {
            let (snapshots, state) = ("snapshots", "state");
            nodes
                .iter()
                .all(|node| names(&node.data.join(snapshots)).len() == 1 && names(&node.data.join(state)).len() == 2)
        })
        .await;
        for node in nodes {
            let (log, state) = (bytes_below(&node.data.join("raft")), bytes_below(&node.data.join("state")));
            let snapshots = bytes_below(&node.data.join("snapshots"));
            println!("{}: log {log} bytes, state {state}, snapshot {snapshots}", node.name);
            // Twice its memtables of closed write-ahead logs, and what follows the last snapshot.
            let most = (96 << 20) + (self.size.snapshot_after + self.size.keep) * 1_000;
            assert!(log < most, "{} keeps {log} bytes", node.name);
        }
    }

    /// The receiver is found in one whole state, the old or the new, and goes on from there: bytes that came since its
    /// start, and bytes that did not come again.
    async fn receive_again(&mut self) -> (u64, u64) {
        let away = self.away;
        expect_sound(&self.cluster.nodes[away].data);
        self.cluster.nodes[away].start();
        // Counters begin anew with the process.
        let metric = async |name: &str| self.cluster.metric(away, name).await;
        until("it answers", async || {
            let url = format!("{}/healthz", self.cluster.url(away));
            self.cluster.http.get(url).send().await.is_ok()
        })
        .await;
        moment(Duration::from_secs(5), async || metric("ringmaster_raft_snapshot_received_bytes_total").await > 0)
            .await;
        let again = metric("ringmaster_raft_snapshot_resumed_bytes_total").await;
        (metric("ringmaster_raft_snapshot_received_bytes_total").await, again)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_for_long_catches_up_by_snapshot_whatever_is_killed() {
    let (size, mut dice) = (Size::of_this_run(), Dice::of_this_run("the moments of the kills"));
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
    let (mut kills, mut late, mut resumed, mut received) = (0, 0, 0, 0);
    while kills < trial.size.kills {
        assert!(late <= 10 + 2 * trial.size.kills, "{late} times it was too late for a kill, and {kills} were in time");
        let share = 1 + dice.below(115);
        let leader = trial.leader().await;
        if !trial.wait_for(share, leader).await || trial.leader().await != leader {
            // It came through: away with it again, for as long as it takes.
            println!("it came through");
            late += 1;
            trial.caught_up().await;
            let entries = trial.size.snapshot_after * 2;
            trial.send_away(entries).await;
            trial.cluster.nodes[away].start();
            continue;
        }
        let receiver = kills % 2 == 0;
        work.mark();
        trial.cluster.nodes[if receiver { away } else { leader }].kill();
        let broken_off = trial.broken_off(leader);
        // What was wanted while bytes came, and was too late for that, is another kind of kill.
        let counts = share > 100 || broken_off.is_some();
        if counts {
            kills += 1
        } else {
            late += 1
        }
        let (who, number) = (if receiver { "receiver" } else { "sender" }, if counts { kills } else { 0 });
        println!("kill {number}: the {who}, {share} % wanted; there, of all: {broken_off:?}");
        if receiver {
            let (came, again) = trial.receive_again().await;
            println!("  {again} bytes did not come again");
            (received, resumed) = (received + came, resumed + again);
        } else {
            let next = trial.leader().await;
            assert_ne!(next, leader);
            trial.cluster.nodes[leader].start();
        }
        work.goes_on().await;
    }
    trial.caught_up().await;
    trial.cluster.wait_ready().await;
    work.goes_on().await;
    println!("{kills} kills; {resumed} bytes did not come twice; {received} had come at once after a restart");
    let report = work.end(&trial.cluster).await;
    report.print("killed senders and receivers of snapshots");
    report.expect_clean();
    report.expect_no_failed_request();
    trial.expect_no_rest().await;
    expect_same_state(&mut trial.cluster).await;
}

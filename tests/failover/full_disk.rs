//! One node's disk fills up, or fails: the node ends with a message that says what to do, the others go on, and it comes
//! back when the disk is well again.

use serde_json::json;
use tokio::task::JoinHandle;

use crate::agreement::expect_sound;
use crate::disks::Disks;
use crate::load::client;
use crate::support::{Cluster, Setup, until};
use crate::work::Work;

const CLIENTS: usize = 4;
/// The node whose disk it is, by its position.
const VICTIM: usize = 0;

/// A cluster whose first node has a disk of its own, and leads or not.
async fn cluster_with_a_small_disk(disks: &Disks, leads: bool) -> Cluster {
    let mut cluster = Cluster::prepare(&Setup::new(3, 2));
    disks.give(0, &cluster.nodes[VICTIM]);
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(2).await;
    crown(&cluster, leads).await;
    cluster
}

/// Has the first node lead, or another one.
async fn crown(cluster: &Cluster, leads: bool) {
    let wanted = if leads { VICTIM } else { VICTIM + 1 };
    until("leadership is where it is wanted", async || {
        if cluster.leader().await != wanted {
            drop(client(cluster).transfer(Some(wanted as u64 + 1)).await);
        }
        cluster.leader().await == wanted
    })
    .await;
}

/// Waits until the first node has ended by itself, and looks at its last words.
async fn ended_with(cluster: &mut Cluster, before: usize, words: &[&str]) {
    let code = cluster.nodes[VICTIM].wait_exit().await;
    let text = cluster.nodes[VICTIM].log_text();
    let said = &text[before..];
    println!("{}", said.lines().last().unwrap_or_default());
    assert_eq!(code, Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in\n{said}");
    }
}

/// Has the log grow by megabytes a second, through nodes other than the one with the disk: RocksDB reserves room for a
/// write-ahead log before it needs it. Each entry is a directory asked for whose parents are not there, with as long a
/// path as is taken; that is refused when it is applied.
fn swell(cluster: &Cluster) -> Vec<JoinHandle<()>> {
    let path: String = (0..16).map(|part| format!("/{part}{}", "x".repeat(240))).collect();
    let swell = |number: usize| {
        let url = format!("{}/mkdir", cluster.nodes[VICTIM + 1 + number % 2].url);
        let (http, token, path) = (cluster.http.clone(), cluster.admin.token.clone(), path.clone());
        tokio::spawn(async move {
            loop {
                // While no node leads there is nothing to wait for here.
                let sent = http.post(&url).bearer_auth(&token).json(&json!({"path": path})).send().await;
                if !sent.is_ok_and(|answer| answer.status() == 404) {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        })
    };
    (0..16).map(swell).collect()
}

/// It has what the others have.
async fn caught_up(cluster: &Cluster) {
    cluster.wait_ready().await;
    let target = cluster.metric(cluster.leader().await, "ringmaster_raft_applied_index").await;
    until("the node has caught up", async || cluster.metric(VICTIM, "ringmaster_raft_applied_index").await >= target)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_its_node_with_advice_and_the_others_go_on() {
    let Some(disks) = Disks::make(1, 64) else { return };
    let mut cluster = cluster_with_a_small_disk(&disks, false).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
    for leads in [false, true] {
        crown(&cluster, leads).await;
        work.goes_on().await;
        work.mark();
        let before = cluster.nodes[VICTIM].log_text().len();
        disks.fill(0, 64 << 10);
        let data = cluster.nodes[VICTIM].data.display().to_string();
        let advice =
            [&*data, "No space left on device", "The disk is full: make room on it (`df -h`", "start this node"];
        let swelling = swell(&cluster);
        ended_with(&mut cluster, before, &advice).await;
        swelling.iter().for_each(JoinHandle::abort);
        work.mark();
        for _ in 0..3 {
            work.goes_on().await;
        }
        // As long as nothing has changed it says the same again, and does no harm.
        let before = cluster.nodes[VICTIM].log_text().len();
        cluster.nodes[VICTIM].start();
        ended_with(&mut cluster, before, &advice).await;
        disks.empty(0);
        expect_sound(&disks.data(0));
        cluster.nodes[VICTIM].start();
        caught_up(&cluster).await;
        work.goes_on().await;
    }
    let report = work.end(&cluster).await;
    report.print("a disk of 64 MiB that fills up");
    report.expect_clean();
    report.expect_no_failed_request();
    drop(cluster); // Before its disk.
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_ends_its_node_with_advice_and_the_others_go_on() {
    let Some(mut disks) = Disks::make(1, 512) else { return };
    let mut cluster = cluster_with_a_small_disk(&disks, false).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
    for leads in [false, true] {
        crown(&cluster, leads).await;
        work.goes_on().await;
        work.mark();
        let before = cluster.nodes[VICTIM].log_text().len();
        disks.cut(&[0]); // To those that use it: every write and sync fails with EIO from now on.
        let data = cluster.nodes[VICTIM].data.display().to_string();
        ended_with(&mut cluster, before, &[&data, "Input/output error", "check it (dmesg, df)"]).await;
        work.mark();
        for _ in 0..3 {
            work.goes_on().await;
        }
        disks.remount(0);
        cluster.nodes[VICTIM].start();
        caught_up(&cluster).await;
        work.goes_on().await;
    }
    let report = work.end(&cluster).await;
    report.print("a disk that fails");
    report.expect_clean();
    report.expect_no_failed_request();
    drop(cluster); // Before its disk.
}

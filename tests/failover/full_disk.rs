//! One node's disk fills up, or fails: the node ends with a message that says what to do, the others go on, and it comes
//! back when the disk is well again.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use crate::agreement::expect_sound;
use crate::disks::Disks;
use crate::support::{Cluster, Setup, until, within};
use crate::work::Work;

const CLIENTS: usize = 4;
/// The node whose disk it is, by its position.
const VICTIM: usize = 0;
/// How long the disk may last: on a busy machine the log takes its time to grow by megabytes.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a disk breaks anew because leadership went elsewhere by itself just before.
const ATTEMPTS: usize = 5;

/// A cluster whose first node has a disk of its own.
async fn cluster_with_a_small_disk(disks: &Disks) -> Cluster {
    let mut cluster = Cluster::prepare(&Setup::new(3, 2));
    disks.give(0, &cluster.nodes[VICTIM]);
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(2).await;
    cluster
}

/// Has the first node lead, or another one.
async fn crown(cluster: &Cluster, leads: bool) {
    let wanted = if leads { VICTIM } else { VICTIM + 1 };
    until("leadership is where it is wanted", async || {
        if cluster.leader().await != wanted {
            drop(cluster.client().transfer(Some(wanted as u64 + 1)).await);
        }
        cluster.leader().await == wanted
    })
    .await;
}

/// Waits until the first node says of what it dies. Whether it leads then, as the others see it, where it did or did not
/// just before.
async fn dies_as_leader(cluster: &Cluster, leads: bool, before: usize, cause: &str) -> bool {
    let mut leader = leads.then_some(VICTIM as u64 + 1);
    within(PATIENCE, &format!("the first node says {cause:?}"), async || {
        let seen = cluster.get(VICTIM + 1, "/cluster").await.1["leader_id"].as_u64();
        let has_said = cluster.nodes[VICTIM].log_text()[before..].contains(cause);
        leader = seen.filter(|_| !has_said).or(leader);
        has_said
    })
    .await;
    leader == Some(VICTIM as u64 + 1)
}

/// Waits until the first node has ended by itself, and looks at its last words.
async fn ended_with(cluster: &mut Cluster, before: usize, words: &[&str]) {
    let code = cluster.nodes[VICTIM].wait_exit_within(PATIENCE).await;
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
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        })
    };
    (0..16).map(swell).collect()
}

/// The first node runs again, has what the others have, and clients get on.
async fn it_is_back(cluster: &mut Cluster, work: &Work) {
    cluster.nodes[VICTIM].start();
    cluster.wait_ready().await;
    let target = cluster.metric(cluster.leader().await, "ringmaster_raft_applied_index").await;
    within(PATIENCE, "the node has caught up", async || {
        cluster.metric(VICTIM, "ringmaster_raft_applied_index").await >= target
    })
    .await;
    work.goes_on().await;
}

/// Nothing was lost, and no client had a failure.
async fn the_others_went_on(work: Work, cluster: &Cluster, label: &str) {
    let report = work.end(cluster).await;
    report.print(label);
    report.expect_clean();
    report.expect_no_failed_request();
}

/// Has the fault happen to the first node while it follows, and while it leads. `fault` lasts until the disk is well
/// again, and says whether the node led when it ended: where leadership went elsewhere before that, it happens again.
async fn happens_in_both_roles(
    cluster: &mut Cluster,
    work: &Work,
    mut fault: impl AsyncFnMut(&mut Cluster, bool) -> bool,
) {
    for leads in [false, true] {
        for attempt in 1.. {
            work.goes_on().await;
            crown(cluster, leads).await;
            work.mark();
            let led = fault(cluster, leads).await;
            it_is_back(cluster, work).await;
            if led == leads {
                break;
            }
            assert!(attempt < ATTEMPTS, "leadership never stays where it is wanted");
        }
    }
}

/// Without the first node.
async fn the_others_go_on(work: &Work) {
    work.mark();
    for _ in 0..3 {
        work.goes_on().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_its_node_with_advice_and_the_others_go_on() {
    let Some(disks) = Disks::make(1, 64) else { return };
    let mut cluster = cluster_with_a_small_disk(&disks).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    let data = cluster.nodes[VICTIM].data.display().to_string();
    let full = "No space left on device";
    let advice = [&*data, full, "The disk is full: make room on it (`df -h`", "start this node"];
    happens_in_both_roles(&mut cluster, &work, async |cluster, leads| {
        let before = cluster.nodes[VICTIM].log_text().len();
        disks.fill(0, 64 << 10);
        let swelling = swell(cluster);
        let led = dies_as_leader(cluster, leads, before, full).await;
        ended_with(cluster, before, &advice).await;
        swelling.iter().for_each(JoinHandle::abort);
        the_others_go_on(&work).await;
        // As long as nothing has changed it says the same again, and does no harm.
        let before = cluster.nodes[VICTIM].log_text().len();
        cluster.nodes[VICTIM].start();
        ended_with(cluster, before, &advice).await;
        disks.empty(0);
        expect_sound(&disks.data(0));
        led
    })
    .await;
    the_others_went_on(work, &cluster, "a disk of 64 MiB that fills up").await;
    drop(cluster); // Before its disk.
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_ends_its_node_with_advice_and_the_others_go_on() {
    let Some(mut disks) = Disks::make(1, 512) else { return };
    let mut cluster = cluster_with_a_small_disk(&disks).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    let data = cluster.nodes[VICTIM].data.display().to_string();
    let fails = "Input/output error";
    happens_in_both_roles(&mut cluster, &work, async |cluster, leads| {
        let before = cluster.nodes[VICTIM].log_text().len();
        disks.cut(&[0]); // To those that use it: every write and sync fails with EIO from now on.
        let led = dies_as_leader(cluster, leads, before, fails).await;
        ended_with(cluster, before, &[&data, fails, "check it (dmesg, df)"]).await;
        the_others_go_on(&work).await;
        disks.remount(0);
        led
    })
    .await;
    the_others_went_on(work, &cluster, "a disk that fails").await;
    drop(cluster); // Before its disk.
}

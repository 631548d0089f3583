//! One node's disk fills up, or fails: the node ends with a message that says what to do, the others go on, and it comes
//! back when the disk is well again. Where the disks of most nodes fill up, what frees room is taken before any of them
//! ends.

use std::time::Duration;

use serde_json::{Value, json};
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

/// Bytes of each disk that are to stay free, and what is left of it when little, and when too little, is.
const FLOOR: u64 = 96 << 20;
const LITTLE: u64 = 150 << 20;
const TOO_LITTLE: u64 = 80 << 20;

async fn every_node_says(cluster: &Cluster, what: &str, holds: impl Fn(&Value) -> bool) {
    for at in 0..cluster.nodes.len() {
        until(&format!("node {} says {what}", at + 1), async || holds(&cluster.get(at, "/cluster").await.1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disks_of_most_nodes_are_nearly_full_deletions_are_taken_and_nothing_else() {
    let Some(disks) = Disks::make(3, 256) else { return };
    let mut cluster = Cluster::prepare(&Setup::new(3, 2).with("RINGMASTER__STORAGE__RESERVE", FLOOR));
    (0..3).for_each(|at| disks.give(at, &cluster.nodes[at]));
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    let bob = cluster.user("bob").await;
    cluster.wait_for_servers(2).await;
    let admin = cluster.admin.clone();
    for name in ["kept", "gone", "locked"] {
        assert_eq!(cluster.insist_put(&admin, 0, &format!("/write?path=/d/{name}"), b"bytes").await.0, 201);
    }
    let (status, lock) = cluster.insist(&admin, 0, "/lock", &json!({"path": "/d/locked"})).await;
    assert_eq!(status, 200, "{lock}");

    // It is said before it happens, and does not matter yet.
    (0..3).for_each(|disk| disks.fill(disk, LITTLE));
    every_node_says(&cluster, "that all disks are low", |seen| {
        seen["nodes"].as_array().is_some_and(|nodes| nodes.iter().all(|node| node["room"] == "low"))
    })
    .await;
    for node in &cluster.nodes {
        assert!(node.log_text().contains("only deletions are taken"), "{}", node.log_tail());
    }
    assert_eq!(cluster.insist_put(&admin, 1, "/write?path=/d/early", b"bytes").await.0, 201);

    (0..3).for_each(|disk| disks.refill(disk, TOO_LITTLE));
    every_node_says(&cluster, "that the directory is full, and all its nodes", |seen| {
        let nodes = seen["nodes"].as_array();
        seen["directory_full"] == true && nodes.is_some_and(|nodes| nodes.iter().all(|node| node["room"] == "full"))
    })
    .await;
    for at in 0..3 {
        assert_eq!(cluster.metric(at, "ringmaster_directory_full").await, 1);
        // Each node hears of the others' disks in its own time.
        until("the refusal names all three", async || {
            let (status, said) = cluster.insist_put(&admin, at, "/write?path=/d/late", b"bytes").await;
            assert_eq!((status, &said["code"]), (507, &json!("directory_full")), "{said}");
            said["detail"].as_str().is_some_and(|detail| detail.contains("node 1, node 2, node 3"))
        })
        .await;
        for (call, body) in [
            ("/mkdir", json!({"path": "/e"})),
            ("/move", json!({"from": "/d/kept", "to": "/d/moved"})),
            ("/share", json!({"path": "/d/kept", "username": "bob", "permission": "read"})),
            ("/lock", json!({"path": "/d/kept"})),
        ] {
            let (status, said) = cluster.insist(&admin, at, call, &body).await;
            assert_eq!((status, &said["code"]), (507, &json!("directory_full")), "{call}: {said}");
        }
        assert_eq!(cluster.read(&admin, at, "/d/kept").await, Ok(b"bytes".to_vec()));
    }
    cluster.log_in("bob").await;
    assert_eq!(cluster.insist(&admin, 1, "/delete", &json!({"path": "/d/gone", "permanently": true})).await.0, 204);
    let unlock = json!({"lock_token": lock["lock_token"]});
    assert_eq!(cluster.insist(&admin, 2, "/unlock", &unlock).await.0, 204);
    assert_eq!(cluster.insist(&bob, 0, "/logout", &json!({})).await.0, 204);

    // One of three with room is no majority, two are.
    disks.empty(0);
    every_node_says(&cluster, "that the first has room", |seen| seen["nodes"][0]["room"] == "ample").await;
    assert_eq!(cluster.insist_put(&admin, 0, "/write?path=/d/late", b"bytes").await.0, 507);
    disks.empty(1);
    every_node_says(&cluster, "that there is room", |seen| seen["directory_full"] == false).await;
    assert_eq!(cluster.insist_put(&admin, 0, "/write?path=/d/late", b"bytes").await.0, 201);
    for node in &cluster.nodes {
        assert!(node.is_started() && !node.log_text().contains("The disk is full"), "{}", node.log_tail());
    }
    drop(cluster); // Before its disks.
}

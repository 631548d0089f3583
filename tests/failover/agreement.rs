//! Nodes that have applied the same log hold the same bytes, however they came by them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::{Cluster, Process, Setup, until};

/// How often the cluster is started again because an entry came in the moment in which it was killed.
const ATTEMPTS: usize = 10;

/// Kills the cluster and compares what its started directory nodes have at one index. Afterwards nothing runs.
pub(crate) async fn expect_same_state(cluster: &mut Cluster) {
    let nodes: Vec<usize> = (0..cluster.nodes.len()).filter(|at| cluster.nodes[*at].is_started()).collect();
    for _ in 0..ATTEMPTS {
        let applied = async |at: usize| cluster.metric(at, "ringmaster_raft_applied_index").await;
        until("all nodes have applied the same entries", async || {
            let first = applied(nodes[0]).await;
            for at in &nodes {
                if applied(*at).await != first {
                    return false;
                }
            }
            applied(nodes[0]).await == first
        })
        .await;
        cluster.kill_all();
        let states: Vec<Value> = nodes.iter().map(|node| verify(&cluster.nodes[*node].data)).collect();
        let first = &states[0];
        if states.iter().all(|state| state["applied_index"] == first["applied_index"]) {
            assert!(states.iter().all(|state| state == first), "the nodes have parted at one index: {states:#?}");
            assert_eq!(first["violations"], json!([]), "{first}");
            println!("{} nodes have one state: {first}", nodes.len());
            return;
        }
        // One of them was killed in the middle of something.
        nodes.iter().for_each(|node| cluster.nodes[*node].start());
        cluster.servers.iter_mut().for_each(Process::start);
        cluster.wait_ready().await;
    }
    panic!("the nodes were killed {ATTEMPTS} times and never at one index");
}

/// What `ringmaster verify` says about the data of a node that does not run.
fn verify(data: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ringmaster")).args(["--json", "verify"]).arg(data).output();
    let output = output.expect("the binary runs");
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{}: {said}{error}", data.display()))
}

/// The data of a node that does not run is one whole state, which keeps every invariant.
#[track_caller]
pub(crate) fn expect_sound(data: &Path) {
    let report = verify(data);
    assert_eq!(report["violations"], json!([]), "{}: {report}", data.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_logs_leave_equal_bytes_on_every_node() {
    let mut cluster = Cluster::start(3, 2).await;
    let admin = cluster.admin.clone();
    cluster.user("bert").await;
    for round in 0..10 {
        let node = round % 3;
        let path = format!("/d{round}/f");
        let (status, stat) = cluster.put(&admin, node, &format!("/write?path={path}"), "one", &[]).await;
        assert_eq!(status, 201, "{stat}");
        assert_eq!(cluster.put(&admin, node, &format!("/update?path={path}"), "two", &[]).await.0, 200);
        let share = json!({"path": path, "username": "bert", "permission": "write"});
        assert_eq!(cluster.post(&admin, node, "/share", &share).await.0, 200);
        let (status, held) = cluster.post(&admin, node, "/lock", &json!({"path": path})).await;
        assert_eq!(status, 200, "{held}");
        if round % 2 == 0 {
            let unlock = json!({"lock_token": held["lock_token"]});
            assert_eq!(cluster.post(&admin, node, "/unlock", &unlock).await.0, 204);
            let moved = json!({"from": path, "to": format!("/moved{round}")});
            assert_eq!(cluster.post(&admin, node, "/move", &moved).await.0, 200);
        }
        assert_eq!(cluster.post(&admin, node, "/mkdir", &json!({"path": format!("/e{round}")})).await.0, 201);
        assert_eq!(cluster.post(&admin, node, "/delete", &json!({"path": format!("/e{round}")})).await.0, 204);
    }
    expect_same_state(&mut cluster).await;
}

/// Many more entries than a log keeps.
const MISSED: usize = 960;
const WRITERS: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_by_snapshot_has_the_same_bytes() {
    let setup =
        Setup::new(3, 0).with("RINGMASTER__RAFT__SNAPSHOT_AFTER", 200).with("RINGMASTER__RAFT__KEEP_ENTRIES", 100);
    let mut cluster = Cluster::set_up(setup).await;
    let away = cluster.follower().await;
    cluster.nodes[away].kill();
    let leader = cluster.leader().await;
    let cluster = Arc::new(cluster);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let cluster = Arc::clone(&cluster);
            tokio::spawn(async move {
                for at in 0..MISSED / WRITERS {
                    let made = json!({"path": format!("/{writer}/{at}")});
                    let (status, answer) = cluster.post(&cluster.admin, leader, "/mkdir", &made).await;
                    assert_eq!(status, 201, "{answer}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer is done");
    }
    let mut cluster = Arc::into_inner(cluster).expect("the writers are gone");
    until("the leader's log begins behind what the node has", async || {
        cluster.metric(leader, "ringmaster_raft_purged_index").await > 100
    })
    .await;
    cluster.nodes[away].start();
    cluster.wait_ready().await;
    let one_by_one = cluster.metric(away, "ringmaster_raft_commits_total").await;
    assert!(one_by_one < MISSED as u64, "{one_by_one} entries were applied one by one");
    expect_same_state(&mut cluster).await;
}

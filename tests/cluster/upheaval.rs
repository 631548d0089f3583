//! The leader dies at random moments of everything that it does for the file servers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::repair::{brisk, fill};
use crate::support::{Cluster, noise, until};

/// `RINGMASTER_TEST_LEADER_KILLS=50` is the full number.
fn kills() -> u64 {
    std::env::var("RINGMASTER_TEST_LEADER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(10)
}

/// An admin's call, repeated until some node takes it.
async fn insist(cluster: &Cluster, call: &str, body: Value) {
    until(&format!("{call} {body} is taken"), async || {
        for at in (0..cluster.nodes.len()).filter(|at| cluster.nodes[*at].is_started()) {
            let (status, _) = cluster.post(&cluster.admin, at, call, &body).await;
            if (200..300).contains(&status) {
                return true;
            }
        }
        false
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_killed_at_random_moments_of_detection_repair_garbage_drain_and_rebalance() {
    let mut dice = Dice::of_this_run("upheaval");
    let mut cluster = Cluster::set_up(brisk(3, 5).with("RINGMASTER__REPLICATION__BANDWIDTH", "2MiB")).await;
    cluster.keep_nothing().await;
    fill(&cluster, "f", 60).await;
    let mut dead: Option<usize> = None;
    let mut written = 0_u64;
    for kill in 0..kills() {
        match dice.below(5) {
            0 | 1 => match dead.take() {
                Some(server) => cluster.servers[server].start(),
                None => {
                    let server = dice.pick(5);
                    cluster.servers[server].kill();
                    dead = Some(server);
                }
            },
            2 => {
                // One at a time: two that leave and one that is dead would leave no room for anybody.
                let row = cluster.ring_row(dice.pick(5)).await;
                let ring = cluster.get(cluster.leader().await, "/ring").await.1;
                let draining =
                    ring["servers"].as_array().is_some_and(|rows| rows.iter().any(|row| row["state"] == "draining"));
                if let Some(id) = row["server_id"].as_u64() {
                    let cancel = row["state"] == "draining";
                    if cancel || !draining {
                        insist(&cluster, "/admin/drain", json!({"server_id": id, "cancel": cancel})).await;
                    }
                }
            }
            3 => insist(&cluster, "/admin/rebalance", json!({})).await,
            _ => {
                for _ in 0..10 {
                    let call = format!("/update?path=/f{}", dice.below(60));
                    written += 1;
                    let at = cluster.leader().await;
                    let _ = cluster.put(&cluster.admin, at, &call, noise(100_000 + written, 20_000), &[]).await;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.below(2500))).await;
        let leader = cluster.leader().await;
        cluster.nodes[leader].kill();
        tokio::time::sleep(Duration::from_millis(dice.below(800))).await;
        cluster.nodes[leader].start();
        println!("kill {} of node {}", kill + 1, leader + 1);
    }
    if let Some(server) = dead {
        cluster.servers[server].start();
    }
    cluster.wait_ready().await;
    for at in 0..5 {
        let row = cluster.ring_row(at).await;
        if let Some(id) = row["server_id"].as_u64().filter(|_| row["state"] == "draining") {
            insist(&cluster, "/admin/drain", json!({"server_id": id, "cancel": true})).await;
        }
    }
    for at in 0..5 {
        // A server that was declared down often is let back in later.
        cluster.wait_state(at, "up").await;
    }
    cluster.wait_whole(&cluster.admin, 2).await;
    cluster.wait_no_orphans(&cluster.admin).await;
    expect_clean(&mut cluster).await;
}

/// Stops the cluster and has `ringmaster verify` look into each directory node's data.
pub(crate) async fn expect_clean(cluster: &mut Cluster) {
    cluster.kill_all();
    for node in &cluster.nodes {
        let report = verify(&node.data);
        assert_eq!(report["violations"], json!([]), "{}: {report}", node.name);
        println!("{}: {report}", node.name);
    }
}

fn verify(data: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ringmaster")).args(["--json", "verify"]).arg(data).output();
    let output = output.expect("the binary runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

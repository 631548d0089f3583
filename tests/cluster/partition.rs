//! A file server that the leader alone, or that only the leader can reach.

use std::time::Duration;

use serde_json::Value;

use crate::detection::quick;
use crate::islands::Islands;
use crate::support::{Cluster, noise, until};

/// What a node's `/ring` says of the first file server.
async fn state(cluster: &Cluster, node: usize) -> Value {
    let ring = cluster.get(node, "/ring").await.1;
    let url = cluster.servers[0].url.as_str();
    let rows = ring["servers"].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["url"] == url).map_or(Value::Null, |row| row["state"].clone())
}

/// Kills leaders until the first node leads.
async fn crown_the_first(cluster: &mut Cluster) {
    for _ in 0..20 {
        let leader = cluster.leader().await;
        if leader == 0 {
            return;
        }
        cluster.nodes[leader].kill();
        until("another node leads", async || {
            let others = cluster.get(0, "/cluster").await.1["leader_id"].as_u64();
            others.is_some_and(|id| id != leader as u64 + 1)
        })
        .await;
        cluster.nodes[leader].start();
        cluster.wait_ready().await;
    }
    panic!("the first node did not come to lead");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_leader_alone_cannot_reach_is_not_declared_down() {
    let Some(islands) = Islands::rise(2) else { return };
    islands.part(&[0], &[1]);
    // A busy machine may hold up everybody's heartbeats for a second.
    let mut cluster = Cluster::prepare(&quick(3, 3).with("RINGMASTER__DETECTION__DEAD_AFTER", "3s"));
    islands.settle(&mut cluster, &[("directory-1", 0), ("fileserver-1", 1)]);
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    crown_the_first(&mut cluster).await;
    until("the leader suspects it", async || state(&cluster, 0).await == "suspect").await;
    until("the others were asked", async || cluster.nodes[0].log_text().contains("file server: it stays")).await;
    // As long as several verdicts take.
    let end = std::time::Instant::now() + Duration::from_secs(12);
    while std::time::Instant::now() < end {
        for node in 0..3 {
            assert_ne!(state(&cluster, node).await, "down");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Now it is really dead, and all agree.
    cluster.servers[0].kill();
    for node in 0..3 {
        until("it is down", async || state(&cluster, node).await == "down").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_the_leader_reaches_serves_on() {
    let Some(islands) = Islands::rise(2) else { return };
    islands.part(&[0], &[1]);
    let mut cluster = Cluster::prepare(&quick(3, 3));
    islands.settle(&mut cluster, &[("directory-2", 0), ("directory-3", 0), ("fileserver-1", 1)]);
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    crown_the_first(&mut cluster).await;
    until("the leader hears of it", async || state(&cluster, 0).await == "up").await;
    for node in [1, 2] {
        until("the followers do not", async || state(&cluster, node).await == "suspect").await;
    }
    // Through all nodes, in both ways of writing: no wrong answer, and two copies of everything.
    for number in 0..30_u64 {
        let node = number as usize % 3;
        let bytes = noise(number, 50_000);
        let routing = if number % 2 == 0 { "forward" } else { "redirect" };
        let headers = [("Ringmaster-Routing", routing)];
        let (status, answer) =
            cluster.put(&cluster.admin, node, &format!("/write?path=/f{number}"), bytes.clone(), &headers).await;
        assert_eq!(status, 201, "{answer}");
        let reader = (node + 1) % 3;
        assert_eq!(cluster.read(&cluster.admin, reader, &format!("/f{number}")).await, Ok(bytes), "file {number}");
    }
    cluster.wait_whole(&cluster.admin, 2).await;
    assert_eq!(state(&cluster, 0).await, "up", "one node that reaches it speaks for it");
    let copied = cluster.metric(0, "ringmaster_repair_bytes_total").await;
    assert_eq!(copied, 0, "nothing was copied for its sake");
}

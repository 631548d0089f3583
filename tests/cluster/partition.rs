//! A file server that the leader alone cannot reach. On one loopback interface nobody can be cut off from one process
//! and not from another, so the leader and the file server get a network namespace each, and nothing forwards between
//! the two. That needs root; without it the test says so and proves nothing.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::detection::quick;
use crate::support::{Cluster, until};

/// Two namespaces, each with a cable to this one. Gone when this is dropped.
struct Islands {
    names: [String; 2],
    nets: [u8; 2],
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

impl Islands {
    fn rise() -> Option<Self> {
        // What forwards packets would connect the two.
        let forwards = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
        if forwards.trim() != "0" {
            return None;
        }
        let process = std::process::id();
        let net = 1 + (process % 120) as u8 * 2;
        let this = Self { names: [0, 1].map(|at| format!("rm{process}-{at}")), nets: [net, net + 1] };
        for (name, net) in this.names.iter().zip(this.nets) {
            let cable = format!("rm{process}v{net}");
            let steps = [
                format!("netns add {name}"),
                format!("link add {cable} type veth peer name eth0 netns {name}"),
                format!("addr add 10.213.{net}.1/24 dev {cable}"),
                format!("link set {cable} up"),
                format!("-n {name} link set lo up"),
                format!("-n {name} addr add 10.213.{net}.2/24 dev eth0"),
                format!("-n {name} link set eth0 up"),
                format!("-n {name} route add default via 10.213.{net}.1"),
            ];
            if !steps.iter().all(|step| ip(step)) {
                return None;
            }
        }
        Some(this)
    }

    /// The address of an island.
    fn address(&self, island: usize) -> String {
        format!("10.213.{}.2", self.nets[island])
    }

    /// This namespace's address, which both islands reach.
    fn mainland(&self) -> String {
        format!("10.213.{}.1", self.nets[0])
    }
}

impl Drop for Islands {
    fn drop(&mut self) {
        // A cable goes with its other end.
        for name in &self.names {
            ip(&format!("netns del {name}"));
        }
    }
}

/// Directory node 1 and file server 1 each go to an island, the others stay on the mainland. The configurations were
/// written for loopback; a port belongs to one process, so each address can be told from the others.
fn settle(cluster: &mut Cluster, islands: &Islands) {
    let mut moves = Vec::new();
    for (name, island) in [("directory-1", Some(0)), ("fileserver-1", Some(1))].into_iter().chain(MAINLAND) {
        let process = cluster.nodes.iter_mut().chain(&mut cluster.servers).find(|process| process.name == name);
        let process = process.expect("it is part of the cluster");
        process.namespace = island.map(|island| islands.names[island].clone());
        let address = island.map_or_else(|| islands.mainland(), |island| islands.address(island));
        let moved = |old: String| {
            let new = old.replace("127.0.0.1", &address);
            (old, new)
        };
        process.url = moved(process.url.clone()).1;
        moves.extend(process.ports.iter().map(|port| moved(port.address())));
    }
    for process in cluster.nodes.iter().chain(&cluster.servers) {
        let text = std::fs::read_to_string(&process.config).expect("its configuration");
        let text = moves.iter().fold(text, |text, (old, new)| text.replace(old, new));
        std::fs::write(&process.config, text).expect("its configuration is written");
    }
}

const MAINLAND: [(&str, Option<usize>); 4] =
    [("directory-2", None), ("directory-3", None), ("fileserver-2", None), ("fileserver-3", None)];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_leader_alone_cannot_reach_is_not_declared_down() {
    let Some(islands) = Islands::rise() else {
        eprintln!("SKIPPED: this test needs network namespaces (root, `ip`, and net.ipv4.ip_forward=0)");
        return;
    };
    let mut cluster = Cluster::prepare(&quick(3, 3));
    settle(&mut cluster, &islands);
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    let state = async |cluster: &Cluster, node: usize| {
        let ring = cluster.get(node, "/ring").await.1;
        let url = cluster.servers[0].url.clone();
        let rows = ring["servers"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["url"] == url.as_str()).map_or(Value::Null, |row| row["state"].clone())
    };
    for _ in 0..20 {
        let leader = cluster.leader().await;
        if leader == 0 {
            break;
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
    assert_eq!(cluster.leader().await, 0, "the node on the island came to lead");
    until("the leader suspects it", async || state(&cluster, 0).await == "suspect").await;
    until("the others were asked", async || cluster.nodes[0].log_text().contains("file server: it stays")).await;
    // As long as several verdicts take.
    let end = std::time::Instant::now() + Duration::from_secs(6);
    while std::time::Instant::now() < end {
        for node in [1, 2] {
            assert_eq!(state(&cluster, node).await, "up");
        }
        assert_eq!(state(&cluster, 0).await, "suspect");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Now it is really dead, and all agree.
    cluster.servers[0].kill();
    for node in 0..3 {
        until("it is down", async || state(&cluster, node).await == "down").await;
    }
}

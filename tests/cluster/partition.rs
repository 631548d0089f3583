//! A file server that the leader alone, or that only the leader can reach. On one loopback interface nobody can be cut
//! off from one process and not from another, so some processes get a network namespace each, and nothing forwards between
//! the two. That needs root; without it the tests say so and prove nothing.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::detection::quick;
use crate::support::{Cluster, noise, until};

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

/// Those whom `islanders` names each go to their island, the others stay on the mainland. The configurations were
/// written for loopback; a port belongs to one process, so each address can be told from the others.
fn settle(cluster: &mut Cluster, islands: &Islands, islanders: &[(&str, usize)]) {
    let mut moves = Vec::new();
    for process in cluster.nodes.iter_mut().chain(&mut cluster.servers) {
        let island = islanders.iter().find(|(name, _)| process.name == *name).map(|(_, island)| *island);
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
    let Some(islands) = Islands::rise() else {
        eprintln!("SKIPPED: this test needs network namespaces (root, `ip`, and net.ipv4.ip_forward=0)");
        return;
    };
    let mut cluster = Cluster::prepare(&quick(3, 3));
    settle(&mut cluster, &islands, &[("directory-1", 0), ("fileserver-1", 1)]);
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    crown_the_first(&mut cluster).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_the_leader_reaches_serves_on() {
    let Some(islands) = Islands::rise() else {
        eprintln!("SKIPPED: this test needs network namespaces (root, `ip`, and net.ipv4.ip_forward=0)");
        return;
    };
    let mut cluster = Cluster::prepare(&quick(3, 3));
    settle(&mut cluster, &islands, &[("directory-2", 0), ("directory-3", 0), ("fileserver-1", 1)]);
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

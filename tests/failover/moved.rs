//! Directory nodes that move: their public addresses, their peer addresses, one after the other and all at once. Nobody
//! tells the cluster but their own configurations.

use std::fs;

use serde_json::json;

use crate::members::in_background;
use crate::support::{Cluster, Port, noise, until};

/// What of a node's addresses moves.
#[derive(Clone, Copy)]
enum Moves {
    Url,
    Peer,
    Both,
}

/// New addresses for a node that does not run, and what is to be replaced by what in the files that are to know.
fn new_addresses(cluster: &mut Cluster, at: usize, moves: Moves) -> Vec<(String, String)> {
    let node = &mut cluster.nodes[at];
    let mut changes = Vec::new();
    if matches!(moves, Moves::Url | Moves::Both) {
        let port = Port::take();
        changes.push((node.ports[0].address(), port.address()));
        node.url = port.url();
        node.ports[0] = port;
    }
    if matches!(moves, Moves::Peer | Moves::Both) {
        let port = Port::take();
        changes.push((node.ports[1].address(), port.address()));
        node.ports[1] = port;
    }
    changes
}

fn edit(file: &std::path::Path, changes: &[(String, String)]) {
    let mut text = fs::read_to_string(file).expect("a configuration");
    for (old, new) in changes {
        assert!(text.contains(old), "{old} in\n{text}");
        text = text.replace(old, new);
    }
    fs::write(file, text).expect("the configuration is written");
}

/// Every node that runs knows where every node is, and hears it.
async fn everybody_knows(cluster: &Cluster) {
    for at in (0..cluster.nodes.len()).filter(|at| cluster.nodes[*at].is_started()) {
        until(&format!("node {} knows all addresses", at + 1), async || {
            let nodes = cluster.get(at, "/cluster").await.1["nodes"].as_array().cloned().unwrap_or_default();
            let right = |(node, known): (&crate::support::Process, &serde_json::Value)| {
                known["url"] == node.url && known["peer"] == node.ports[1].member_url() && known["reachable"] == true
            };
            nodes.len() == cluster.nodes.len() && cluster.nodes.iter().zip(&nodes).all(right)
        })
        .await;
    }
}

/// Writes and reads through every node, with each of them as the leader.
async fn serves(cluster: &Cluster, round: &str) {
    for leader in 0..cluster.nodes.len() {
        // One that has just come up may not have answered the leader yet.
        until("leadership goes where it is told", async || {
            let (code, _) = in_background(cluster, &["cluster", "transfer", &(leader + 1).to_string()]).await;
            code == 0
        })
        .await;
        assert_eq!(cluster.leader().await, leader);
        for at in 0..cluster.nodes.len() {
            let (path, bytes) = (format!("/{round}-{leader}-{at}"), noise(7, 200_000));
            let (status, said) = cluster.insist_put(&cluster.admin, at, &format!("/write?path={path}"), &bytes).await;
            assert!(matches!(status, 201 | 409), "{status} {said}");
            let other = (at + 1) % cluster.nodes.len();
            assert_eq!(cluster.read(&cluster.admin, other, &path).await.as_ref(), Ok(&bytes), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_moves_tells_the_cluster_and_everything_follows() {
    let mut cluster = Cluster::start(3, 2).await;
    for (round, moves) in [("url", Moves::Url), ("peer", Moves::Peer), ("both", Moves::Both)] {
        // The leader moves as well as another one.
        for at in [cluster.leader().await, cluster.follower().await] {
            cluster.nodes[at].kill();
            let changes = new_addresses(&mut cluster, at, moves);
            edit(&cluster.nodes[at].config, &changes);
            cluster.nodes[at].start();
            cluster.wait_ready_after("it has moved").await;
            everybody_knows(&cluster).await;
        }
        cluster.wait_for_servers(2).await;
        serves(&cluster, round).await;
    }
    // What the others were told once they know for good: the files of the others were never touched.
    for node in &mut cluster.nodes {
        node.kill();
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    cluster.wait_ready_after("all were restarted").await;
    everybody_knows(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_that_move_at_once_find_one_another_by_their_files() {
    let mut cluster = Cluster::start(3, 2).await;
    serves(&cluster, "before").await;
    cluster.kill_all();
    let mut changes = Vec::new();
    let mut old = Vec::new();
    for at in 0..3 {
        let moved = new_addresses(&mut cluster, at, Moves::Both);
        old.push(fs::read_to_string(&cluster.nodes[at].config).expect("a configuration"));
        // Each knows of itself, and not of the others yet.
        edit(&cluster.nodes[at].config, &moved);
        changes.extend(moved);
    }
    for node in &mut cluster.nodes {
        node.start();
    }
    // They do not find one another, and say what to do.
    for at in 0..3 {
        until("a node says what it waits for", async || {
            let answer = cluster.http.get(format!("{}/readyz", cluster.url(at))).send().await;
            let Ok(answer) = answer else { return false };
            answer.text().await.is_ok_and(|text| text.contains("[[cluster.members]]"))
        })
        .await;
        until("its log says it, too", async || cluster.nodes[at].log_text().contains("waits for a majority")).await;
    }
    cluster.kill_all();
    for (at, old) in old.iter().enumerate() {
        fs::write(&cluster.nodes[at].config, old).expect("the configuration is written");
        edit(&cluster.nodes[at].config, &changes);
    }
    for server in &cluster.servers {
        let text = fs::read_to_string(&server.config).expect("a configuration");
        let text = changes.iter().fold(text, |text, (old, new)| text.replace(old, new));
        fs::write(&server.config, text).expect("the configuration is written");
    }
    cluster.start_all();
    cluster.wait_ready_after("all have moved").await;
    everybody_knows(&cluster).await;
    cluster.wait_for_servers(2).await;
    serves(&cluster, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_the_nodes_own_is_refused_with_what_to_do() {
    let mut cluster = Cluster::start(3, 1).await;
    cluster.nodes[2].kill();
    cluster.leader().await;
    let free = Port::take();
    let url = |at: usize| cluster.nodes[at].url.clone();
    let peer = |at: usize| cluster.nodes[at].ports[1].member_url();
    let set = async |node: &str, url: &str, peer: &str| {
        in_background(&cluster, &["cluster", "set-address", node, "--url", url, "--peer", peer]).await
    };
    let (code, said) = set("2", &url(1), &peer(1)).await;
    assert_eq!((code, said.trim()), (0, "the cluster knows the new address of node 2"));
    for (node, url, peer, words) in [
        ("2", url(1), free.url(), "says of itself"),
        ("3", free.url(), free.url(), "must be up at its new address first"),
        ("2", url(0), peer(1), "node 1 is at that address already"),
        ("2", free.url(), peer(1), "says of itself"),
        ("9", free.url(), free.url(), "there is no node 9"),
    ] {
        let (code, said) = set(node, &url, &peer).await;
        assert!(code != 0 && said.contains(words), "{code} {said}");
    }
    let (status, answer) = cluster
        .post(&cluster.admin, 0, "/admin/members/address", &json!({"node_id": 2, "url": "nonsense", "peer": peer(1)}))
        .await;
    assert_eq!(status, 400, "{answer}");
}

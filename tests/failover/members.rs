//! Directory nodes that wait to be added, and the commands that add and remove them.

use std::process::{Command, Stdio};

use tokio::task::JoinHandle;

use crate::support::{Cluster, Port, Process, until};

/// Where the other directory nodes reach it.
fn peer_url(node: &Process) -> String {
    let host = |address: &str| address.rsplit_once(':').map(|(host, _)| host.to_owned()).expect("host and port");
    format!("https://{}", node.ports[1].address()).replace("127.0.0.1", host(&node.url).trim_start_matches("http://"))
}

/// A node that waits to be added, at the position of its id.
pub(crate) fn spare(cluster: &mut Cluster, id: usize) {
    spare_with(cluster, id, Vec::new());
}

/// As [`spare`], with an environment of its own.
pub(crate) fn spare_with(cluster: &mut Cluster, id: usize, environment: Vec<(&'static str, String)>) {
    assert_eq!(cluster.nodes.len(), id - 1);
    let [http, peer, metrics] = [(); 3].map(|()| Port::take());
    let known: String = cluster.nodes[..3]
        .iter()
        .enumerate()
        .map(|(at, node)| {
            let peer = peer_url(node);
            format!("[[cluster.members]]\nid = {}\nurl = \"{}\"\npeer = \"{peer}\"\n", at + 1, node.url)
        })
        .collect();
    let text = format!(
        "[node]\nid = {id}\ndata_dir = \"directory-{id}\"\nlisten = \"{}\"\nadvertise = \"{}\"\npeer_listen = \"{}\"\n\
         peer_advertise = \"{}\"\n[storage]\nreserve = \"1MiB\"\n[metrics]\nlisten = \"{}\"\n[cluster]\nname = \"test\"\njoin = true\nsecret_file = \"cluster.secret\"\n{known}",
        http.address(),
        http.url(),
        peer.address(),
        peer.member_url(),
        metrics.address(),
    );
    let url = http.url();
    let node = Process::new(
        cluster.dir.path(),
        "directory",
        format!("directory-{id}"),
        url,
        &text,
        vec![http, peer, metrics],
        environment,
    );
    cluster.nodes.push(node);
}

/// The command line, as the admin, at all nodes that run.
fn ringmaster(cluster: &Cluster, arguments: &[&str]) -> Command {
    let urls: Vec<&str> = cluster.nodes.iter().filter(|node| node.is_started()).map(|node| node.url.as_str()).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmaster"));
    command.args(["--url", &urls.join(",")]).args(arguments).env("RINGMASTER_TOKEN", &cluster.admin.token);
    command
}

/// A command that may take long: its exit code and what it said, once it has ended.
pub(crate) fn begun(cluster: &Cluster, arguments: &[&str]) -> JoinHandle<(i32, String)> {
    let mut command = ringmaster(cluster, arguments);
    tokio::task::spawn_blocking(move || {
        let output = command.stdin(Stdio::null()).output().expect("the binary runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
    })
}

pub(crate) async fn in_background(cluster: &Cluster, arguments: &[&str]) -> (i32, String) {
    begun(cluster, arguments).await.expect("no panic")
}

pub(crate) async fn add(cluster: &Cluster, id: usize) -> (i32, String) {
    begin_to_add(cluster, id).await.await.expect("no panic")
}

/// The command is sent once the node listens.
pub(crate) async fn begin_to_add(cluster: &Cluster, id: usize) -> JoinHandle<(i32, String)> {
    let node = &cluster.nodes[id - 1];
    until("the new node listens", async || {
        let answer = cluster.http.get(format!("{}/healthz", node.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    let (id, peer) = (id.to_string(), peer_url(node));
    begun(cluster, &["cluster", "add", &id, "--url", &node.url, "--peer", &peer])
}

pub(crate) async fn remove(cluster: &Cluster, id: usize) -> (i32, String) {
    in_background(cluster, &["cluster", "remove", &id.to_string()]).await
}

/// The node ends by itself, with the reason; and ends again so when it is started again.
pub(crate) async fn says_that_it_was_removed(cluster: &mut Cluster, id: usize) {
    for _ in 0..2 {
        let node = &mut cluster.nodes[id - 1];
        let code = node.wait_exit().await;
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
        assert!(node.log_tail().contains("this node was removed from the cluster"), "{}", node.log_tail());
        node.start();
    }
    cluster.nodes[id - 1].kill();
}

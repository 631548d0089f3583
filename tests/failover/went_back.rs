//! Folders of directory nodes that are put back to an older state: such a node does not take part, everybody says so, and
//! what it says to do helps.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::members::{add, in_background, remove, spare};
use crate::support::{Cluster, until};

fn copy(from: &Path, to: &Path) {
    drop(std::fs::remove_dir_all(to));
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(done.success(), "{from:?} to {to:?}");
}

async fn mkdir(cluster: &Cluster, node: usize, path: &str) {
    let (status, answer) = cluster.insist(&cluster.admin, node, "/mkdir", &json!({ "path": path })).await;
    assert!(matches!(status, 200 | 201), "{status} {answer}");
}

async fn sees(cluster: &Cluster, node: usize, path: &str) {
    until("the node sees it", async || cluster.get(node, &format!("/stat?path={path}")).await.0 == 200).await;
}

/// A folder of a node as it was before one directory was made, put in the place of the one that it has.
async fn put_back(cluster: &mut Cluster, at: usize) {
    let (data, kept) = (cluster.nodes[at].data.clone(), cluster.dir.path().join("kept"));
    cluster.nodes[at].kill();
    copy(&data, &kept);
    cluster.nodes[at].start();
    cluster.wait_ready().await;
    mkdir(cluster, (at + 1) % 3, "/later").await;
    sees(cluster, at, "/later").await;
    // Its last word may be on its way still, and counts for nothing until it has arrived.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    cluster.nodes[at].kill();
    copy(&kept, &data);
}

async fn ends_and_says_why(cluster: &mut Cluster, at: usize) {
    for _ in 0..2 {
        cluster.nodes[at].start();
        let code = cluster.nodes[at].wait_exit().await;
        assert!(code.is_some_and(|code| code != 0), "{code:?}");
        let told = cluster.nodes[at].log_tail();
        let remedy = format!("cluster remove {}", at + 1);
        assert!(told.contains("went back in time") && told.contains(&remedy), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_put_back_by_one_entry_ends_its_node_and_the_remedy_helps() {
    let mut cluster = Cluster::start(3, 1).await;
    spare(&mut cluster, 4);
    let at = cluster.follower().await;
    put_back(&mut cluster, at).await;
    ends_and_says_why(&mut cluster, at).await;
    let others: Vec<usize> = (0..3).filter(|other| *other != at).collect();
    for other in &others {
        let nodes = cluster.get(*other, "/cluster").await.1["nodes"].clone();
        let trouble = nodes[at]["trouble"].as_str().unwrap_or_default();
        assert!(trouble.contains("went back in time"), "{nodes}");
        assert_eq!(cluster.metric(*other, "ringmaster_raft_members_went_back").await, 1);
        let told = cluster.nodes[*other].log_text();
        assert!(told.contains(&format!("the disk of node {} went back in time", at + 1)), "{told}");
    }
    let (_, status) = in_background(&cluster, &["cluster", "status"]).await;
    assert!(status.contains(&format!("node {}: its disk went back in time", at + 1)), "{status}");
    // The two that are left have everything and go on.
    for other in &others {
        sees(&cluster, *other, "/later").await;
    }
    mkdir(&cluster, others[0], "/without-it").await;

    let (code, said) = remove(&cluster, at + 1).await;
    assert_eq!(code, 0, "{said}");
    cluster.nodes[3].start();
    let (code, said) = add(&cluster, 4).await;
    assert_eq!(code, 0, "{said}");
    cluster.wait_ready().await;
    sees(&cluster, 3, "/later").await;
    // It counts: the cluster goes on with it and one of the old.
    cluster.nodes[others[0]].kill();
    mkdir(&cluster, 3, "/with-the-new-one").await;
    for other in [others[1], 3] {
        assert_eq!(cluster.metric(other, "ringmaster_raft_members_went_back").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_the_leader_that_is_put_back_while_all_are_down_is_found_out() {
    let mut cluster = Cluster::start(3, 1).await;
    let at = cluster.leader().await;
    put_back(&mut cluster, at).await;
    // What the others know of it is written down within a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    for node in &mut cluster.nodes {
        node.kill();
    }
    for other in (0..3).filter(|other| *other != at) {
        cluster.nodes[other].start();
    }
    ends_and_says_why(&mut cluster, at).await;
    for other in (0..3).filter(|other| *other != at) {
        sees(&cluster, other, "/later").await;
    }
    mkdir(&cluster, (at + 1) % 3, "/after").await;
}

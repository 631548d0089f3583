//! Two releases in one cluster. The second one is built from this source with the feature `next-schema`, which brings a
//! table, a command and a field of the next schema; `scripts/test` builds it and names it in `RINGMASTER_TEST_NEXT`.

use std::path::PathBuf;

use serde_json::json;

use crate::members;
use crate::signals::stop;
use crate::skip::skip;
use crate::support::{Cluster, this_release, until};
use crate::work::Work;

const CLIENTS: usize = 8;

/// The release after this one.
fn next_release() -> Option<PathBuf> {
    let path = std::env::var_os("RINGMASTER_TEST_NEXT").filter(|path| !path.is_empty()).map(PathBuf::from);
    if path.is_none() {
        skip("a second release", "RINGMASTER_TEST_NEXT names none: scripts/test builds one and does");
    }
    path
}

/// As an operator does it: SIGTERM, another program, start, wait until it is ready.
async fn change_release(cluster: &mut Cluster, node: usize, binary: &PathBuf) {
    stop(&mut cluster.nodes[node]).await;
    cluster.nodes[node].binary.clone_from(binary);
    cluster.nodes[node].start();
    cluster.wait_ready_after("a change of its release").await;
}

async fn schema(cluster: &Cluster, node: usize) -> Option<u64> {
    cluster.get(node, "/cluster").await.1["schema"].as_u64()
}

/// What only the next schema has: a command, and a field of an older one.
async fn use_the_next_schema(cluster: &Cluster, node: usize) -> [(u16, String); 2] {
    let mut answers = Vec::new();
    for (call, path) in [("/label", "/"), ("/label/mkdir", "/labelled")] {
        let (status, said) = cluster.post(&cluster.admin, node, call, &json!({"path": path, "label": "ours"})).await;
        answers.push((status, said.to_string()));
    }
    answers.try_into().expect("two")
}

/// Starts a node that has to end by itself, and says why.
async fn refuses_to_start(cluster: &mut Cluster, node: usize, binary: PathBuf, because: &str) {
    let node = &mut cluster.nodes[node];
    node.binary = binary;
    node.start();
    let code = node.wait_exit().await;
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    assert!(node.log_tail().contains(because), "{because}:\n{}", node.log_tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_upgraded_under_clients_and_back_until_the_last_node() {
    let Some(next) = next_release() else { return };
    let mut cluster = Cluster::start(3, 3).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;

    // The leader first: the order does not matter.
    let first = cluster.leader().await;
    let (second, third) = ((first + 1) % 3, (first + 2) % 3);
    change_release(&mut cluster, first, &next).await;
    change_release(&mut cluster, second, &next).await;
    work.goes_on().await;
    for (status, said) in use_the_next_schema(&cluster, first).await {
        assert_eq!(status, 400, "{said}");
        assert!(said.contains("schema 2") && said.contains("upgrade all directory nodes"), "{said}");
    }

    // And back: nothing was promised, and nothing of the next schema was written.
    for node in [first, second] {
        change_release(&mut cluster, node, &this_release()).await;
    }
    work.goes_on().await;
    assert_eq!(schema(&cluster, third).await, Some(1));

    // In another order, and to the last one: then it rises by itself.
    for node in [third, first, second] {
        assert_eq!(schema(&cluster, third).await, Some(1));
        change_release(&mut cluster, node, &next).await;
        work.goes_on().await;
    }
    for node in 0..3 {
        until("the schema rises on all nodes", async || schema(&cluster, node).await == Some(2)).await;
    }
    for (status, said) in use_the_next_schema(&cluster, second).await {
        assert!([201, 204].contains(&status), "{status} {said}");
    }
    for node in 0..3 {
        for path in ["/", "/labelled"] {
            let (status, said) = cluster.get(node, &format!("/label?path={path}")).await;
            assert_eq!((status, &said["label"]), (200, &json!("ours")), "{said}");
        }
    }
    work.goes_on().await;
    let report = work.end(&cluster).await;
    report.print("an upgrade, half of it taken back, and another one");
    report.expect_clean();
    report.expect_no_failed_request();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_rise_an_older_release_is_refused_with_what_to_do() {
    let Some(next) = next_release() else { return };
    let mut cluster = Cluster::start(3, 1).await;
    for node in 0..3 {
        change_release(&mut cluster, node, &next).await;
    }
    for node in 0..3 {
        until("the schema rises on all nodes", async || schema(&cluster, node).await == Some(2)).await;
    }

    // A member that promised and comes back older.
    stop(&mut cluster.nodes[0]).await;
    refuses_to_start(&mut cluster, 0, this_release(), "has promised its cluster to understand schema 2").await;
    // Were the promise lost with node.json's field, the state and the log would say it.
    let identity = cluster.nodes[0].data.join("node.json");
    let text = std::fs::read_to_string(&identity).expect("node.json");
    std::fs::write(&identity, text.replace("\"promised_schema\": 2", "\"promised_schema\": 1")).expect("it is written");
    refuses_to_start(&mut cluster, 0, this_release(), "is of schema 2, and this release knows 1").await;
    cluster.nodes[0].binary.clone_from(&next);
    cluster.nodes[0].start();
    cluster.wait_ready_after("its return to the next release").await;

    // One that was never a member does not get in.
    members::spare(&mut cluster, 4);
    cluster.nodes[3].binary = this_release();
    cluster.nodes[3].start();
    let (code, said) = members::add(&cluster, 4).await;
    assert!(code != 0 && said.contains("knows schema 1 at most, and the cluster is at 2"), "{code} {said}");
    cluster.nodes[3].kill();
    cluster.nodes[3].binary = next;
    cluster.nodes[3].start();
    let (code, said) = members::add(&cluster, 4).await;
    assert_eq!(code, 0, "{said}");
    until("the new node is at the cluster's schema", async || schema(&cluster, 3).await == Some(2)).await;
}

//! Nodes come and go while clients work.

use std::time::Duration;

use serde_json::json;

use crate::members::{add, in_background, remove, says_that_it_was_removed, spare};
use crate::support::{Cluster, until};
use crate::work::{Work, from_environment};

/// At this number of clients the outages are judged too.
const FULL: u64 = 32;

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_become_five_and_three_again_under_load() {
    let mut cluster = Cluster::start(3, 2).await;
    for id in [4, 5] {
        spare(&mut cluster, id);
    }
    let work = Work::begin(&cluster, 6).await;
    work.goes_on().await;
    for id in [4, 5] {
        work.mark();
        cluster.nodes[id - 1].start();
        let (code, said) = add(&cluster, id).await;
        assert_eq!(code, 0, "{said}");
        assert!(said.contains(&format!("node {id} is a member and votes")), "{said}");
        // Said again, it is no other than it was.
        assert_eq!(add(&cluster, id).await.0, 0);
        work.goes_on().await;
    }
    let (_, status) = in_background(&cluster, &["cluster", "status"]).await;
    println!("{status}");
    assert_eq!(status.lines().filter(|line| line.contains(" follower ") || line.contains(" leader ")).count(), 5);
    // The leader goes first, then another one of the first three.
    let leader = cluster.leader().await + 1;
    let other = (1..=3).find(|id| *id != leader).expect("there are three");
    for id in [leader, other] {
        work.mark();
        let (code, said) = remove(&cluster, id).await;
        assert_eq!(code, 0, "{said}");
        says_that_it_was_removed(&mut cluster, id).await;
        work.goes_on().await;
    }
    let report = work.end(&cluster).await;
    report.print("3 to 5 to 3");
    report.expect_clean();
    report.expect_no_failed_request();
    if from_environment("RINGMASTER_TEST_CLIENTS").is_some_and(|clients| clients >= FULL) {
        assert!(report.percentile(50) < Duration::from_secs(2), "median outage {:?}", report.percentile(50));
    }
    let left = (0..5).find(|at| cluster.nodes[*at].is_started()).expect("three run");
    let nodes = cluster.get(left, "/cluster").await.1["nodes"].as_array().cloned().unwrap_or_default();
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    // File servers follow the members: they serve after the nodes that they were told of have gone.
    cluster.wait_for_servers(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_is_replaced_under_a_new_id_and_its_own_is_refused() {
    let mut cluster = Cluster::start(3, 1).await;
    spare(&mut cluster, 4);
    let work = Work::begin(&cluster, 4).await;
    work.goes_on().await;
    let dead = cluster.leader().await;
    cluster.nodes[dead].kill();
    std::fs::remove_dir_all(&cluster.nodes[dead].data).expect("its disk is lost");
    work.goes_on().await;
    // It comes back with an empty disk, and says what to do.
    cluster.nodes[dead].start();
    assert_ne!(cluster.nodes[dead].wait_exit().await, Some(0));
    let told = cluster.nodes[dead].log_tail();
    assert!(told.contains("must not come back under its id") && told.contains("cluster remove"), "{told}");

    let (code, said) = remove(&cluster, dead + 1).await;
    assert_eq!(code, 0, "{said}");
    cluster.nodes[3].start();
    let (code, said) = add(&cluster, 4).await;
    assert_eq!(code, 0, "{said}");
    work.goes_on().await;
    // Another node under the id of the dead one.
    let peer = cluster.nodes[3].ports[1].member_url();
    let at = (0..3).find(|at| *at != dead).expect("there are three");
    let used = json!({"node_id": dead + 1, "url": "http://127.0.0.1:1", "peer": peer});
    let (status, problem) = cluster.post(&cluster.admin, at, "/admin/members", &used).await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|text| text.contains("was used before")), "{problem}");
    let report = work.end(&cluster).await;
    report.print("a node that lost its disk");
    report.expect_clean();
    report.expect_no_failed_request();
    // The new one can lead.
    let (code, said) = in_background(&cluster, &["cluster", "transfer", "4"]).await;
    assert_eq!((code, said.trim()), (0, "node 4 leads"));
    until("node 4 is ready", async || {
        let ready = cluster.http.get(format!("{}/readyz", cluster.url(3))).send().await;
        ready.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
}

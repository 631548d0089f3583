//! A leader whose syncs crawl hands over to a node whose disk is better; where all crawl, nobody does.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::load::client;
use crate::support::{Cluster, Process, Setup, until};
use crate::work::Work;

const CLIENTS: usize = 4;

/// Adds so much to every sync of one node's log, from its next start.
fn slow_down(node: &Process, delay: &str) {
    let mut file = File::options().append(true).open(&node.config).expect("its configuration");
    // A table of its own at the end of the file.
    writeln!(file, "\n[raft]\nsync_delay = \"{delay}\"").expect("its configuration is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_crawls_hands_over_and_does_not_get_it_back() {
    let mut cluster = Cluster::prepare(&Setup::new(3, 2));
    slow_down(&cluster.nodes[0], "400ms");
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(2).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
    let admin = client(&cluster);
    let told = async || cluster.nodes[0].log_text().contains("another node leads now");
    until("the slow node has led", async || {
        let led = cluster.leader().await == 0;
        if !led && !told().await {
            drop(admin.transfer(Some(1)).await);
        }
        led || told().await
    })
    .await;
    let start = Instant::now();
    until("it has handed over, and says why", async || told().await).await;
    println!("it handed over after {:?}", start.elapsed());
    until("another node leads", async || cluster.leader().await != 0).await;
    let status = admin.cluster().await.expect("its status");
    println!("{:?}", status.nodes.iter().map(|node| (node.node_id, node.sync_ms)).collect::<Vec<_>>());
    assert!(
        status.nodes.iter().any(|node| node.node_id == 1 && node.sync_ms.is_some_and(|ms| ms >= 400)),
        "{status:?}"
    );
    let settled = Instant::now();
    while settled.elapsed() < Duration::from_secs(8) {
        work.goes_on().await;
        assert_ne!(cluster.leader().await, 0, "it got leadership back");
    }
    let report = work.end(&cluster).await;
    report.print("a leader whose disk crawls");
    report.expect_clean();
    report.expect_no_failed_request();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_disk_crawls_nobody_hands_over() {
    // A vote waits for two syncs, one after the other, and elections have to give them time.
    let setup = Setup::new(3, 2)
        .with("RINGMASTER__RAFT__SYNC_DELAY", "250ms")
        .with("RINGMASTER__RAFT__ELECTION_MIN", "1500ms")
        .with("RINGMASTER__RAFT__ELECTION_MAX", "2500ms");
    let cluster = Cluster::set_up(setup).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
    let leader = cluster.leader().await;
    let term = cluster.metric(leader, "ringmaster_raft_term").await;
    until("the leader has seen that all crawl", async || {
        cluster.nodes[leader].log_text().contains("no other node has a clearly better one")
    })
    .await;
    for _ in 0..3 {
        work.goes_on().await;
    }
    let handed_over = cluster.nodes.iter().any(|node| node.log_text().contains("another node leads now"));
    assert!(!handed_over, "leadership went round");
    println!("term {term}, later {}", cluster.metric(leader, "ringmaster_raft_term").await);
    let report = work.end(&cluster).await;
    report.print("every disk crawls");
    report.expect_clean();
}

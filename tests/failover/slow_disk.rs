//! A leader whose syncs crawl hands over to a node whose disk is better; where all crawl, nobody does.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::support::{Cluster, Process, Setup, until, within};
use crate::work::Work;

const CLIENTS: usize = 4;
/// What is added to each sync, the most that is allowed. A successor's may take a quarter of it, on however busy a disk.
const CRAWL_MS: u64 = 1_000;
/// A leader that could not hand over tries again after a minute.
const PATIENCE: Duration = Duration::from_secs(200);

/// Adds so much to every sync of one node's log, from its next start.
fn slow_down(node: &Process, delay: &str) {
    let mut file = File::options().append(true).open(&node.config).expect("its configuration");
    // A table of its own at the end of the file.
    writeln!(file, "\n[raft]\nsync_delay = \"{delay}\"").expect("its configuration is written");
}

/// How often the first node has handed over because of its disk.
fn handed_over(cluster: &Cluster) -> usize {
    cluster.nodes[0].log_text().matches("another node leads now").count()
}

/// Waits until the first node, which leads or comes to lead, has handed over more than `before` times, and another one
/// leads.
async fn hands_over(cluster: &Cluster, before: usize) {
    within(PATIENCE, "the node with the slow disk hands over, and says why", async || {
        if handed_over(cluster) == before && cluster.leader().await != 0 {
            // Not yet, or an election has taken leadership from it before it had seen enough.
            drop(cluster.client().transfer(Some(1)).await);
        }
        handed_over(cluster) > before && cluster.leader().await != 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_crawls_hands_over_and_does_not_get_it_back() {
    // Its own election takes two syncs.
    let setup =
        Setup::new(3, 2).with("RINGMASTER__RAFT__ELECTION_MIN", "3s").with("RINGMASTER__RAFT__ELECTION_MAX", "5s");
    let mut cluster = Cluster::prepare(&setup);
    slow_down(&cluster.nodes[0], &format!("{CRAWL_MS}ms"));
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(2).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
    let start = Instant::now();
    hands_over(&cluster, 0).await;
    println!("it came to lead and has handed over after {:?}", start.elapsed());
    let admin = cluster.client();
    until("everybody hears how slow its disk is", async || {
        let status = admin.cluster().await;
        status.is_ok_and(|status| {
            status.nodes.iter().any(|node| node.node_id == 1 && node.sync_ms.is_some_and(|ms| ms >= CRAWL_MS))
        })
    })
    .await;
    // An election may give it leadership; then it hands over again. Nothing else does.
    let settled = Instant::now();
    while settled.elapsed() < Duration::from_secs(8) {
        work.goes_on().await;
        let before = handed_over(&cluster);
        if cluster.leader().await == 0 {
            println!("it leads again");
            hands_over(&cluster, before).await;
        }
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
    // Whoever leads: an election is no hand-over.
    within(PATIENCE, "a leader has seen that all crawl", async || {
        cluster.nodes.iter().any(|node| node.log_text().contains("no other node has a clearly better one"))
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

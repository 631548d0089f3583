//! The leader is killed again and again under clients.

use std::time::Duration;

use crate::support::Cluster;
use crate::work::{Work, from_environment};

const CLIENTS: usize = 8;
const KILLS: u64 = 6;
/// The number at which the outages are judged too.
const FULL: u64 = 100;

/// `RINGMASTER_TEST_LEADER_KILLS=100 RINGMASTER_TEST_CLIENTS=32` is the full number.
#[tokio::test(flavor = "multi_thread")]
async fn leaders_are_killed_under_clients_and_nothing_acknowledged_is_lost_or_done_twice() {
    let kills = from_environment("RINGMASTER_TEST_LEADER_KILLS").unwrap_or(KILLS);
    let mut cluster = Cluster::start(3, 3).await;
    let work = Work::begin(&cluster, CLIENTS).await;
    for kill in 1..=kills {
        work.goes_on().await;
        let leader = cluster.leader().await;
        work.mark();
        cluster.nodes[leader].kill();
        work.goes_on().await;
        cluster.nodes[leader].start();
        cluster.wait_ready().await;
        if kill % 10 == 0 {
            println!("{kill} of {kills} kills");
        }
    }
    work.goes_on().await;
    let report = work.end(&cluster).await;
    report.print(&format!("{kills} leader kills"));
    report.expect_clean();
    report.expect_no_failed_request();
    if kills >= FULL {
        report.expect_outages(Duration::from_secs(1), Duration::from_secs(2));
    }
}

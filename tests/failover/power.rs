//! The power of all machines fails at once: whatever was acknowledged is there when it is back, index and bytes.

use crate::disks::Disks;
use crate::support::{Cluster, Setup};
use crate::work::{Work, from_environment};

const NODES: usize = 3;
const SERVERS: usize = 3;
const CLIENTS: usize = 6;
/// Sparse, so that they cost what is written.
const MEBIBYTES: u64 = 2048;

/// `RINGMASTER_TEST_POWER_CUTS=20` for a long run.
fn rounds() -> u64 {
    from_environment("RINGMASTER_TEST_POWER_CUTS").unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_power_of_all_machines_is_cut_at_once_and_nothing_acknowledged_is_lost() {
    let Some(mut disks) = Disks::make(NODES + SERVERS, MEBIBYTES) else { return };
    let mut cluster = Cluster::prepare(&Setup::new(NODES, SERVERS));
    for (disk, process) in cluster.nodes.iter().chain(&cluster.servers).enumerate() {
        disks.give(disk, process);
    }
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(SERVERS).await;
    let all: Vec<usize> = (0..NODES + SERVERS).collect();
    let work = Work::begin(&cluster, CLIENTS).await;
    for round in 0..rounds() {
        for _ in 0..=round % 3 {
            work.goes_on().await;
        }
        work.mark();
        disks.cut(&all);
        cluster.kill_all();
        for disk in &all {
            disks.remount(*disk);
        }
        cluster.start_all();
        cluster.wait_ready_after("a power cut").await;
        // The account and its token were acknowledged before all else. Without them no client would get on.
        let (status, answer) = cluster.get(0, "/all?limit=1").await;
        assert_ne!(status, 401, "what was acknowledged is gone, the first account: {answer}");
        cluster.wait_for_servers(SERVERS).await;
        work.goes_on().await;
        println!("power cut {}", round + 1);
    }
    let report = work.end(&cluster).await;
    report.print("power cuts");
    assert_eq!(report.violations, Vec::<String>::new(), "what was acknowledged is gone");
    report.expect_clean();
    drop(cluster); // Before its disks.
}

//! The power of all machines fails at once: whatever was acknowledged is there when it is back, index and bytes.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::disks::Disks;
use crate::support::{Cluster, Setup};
use crate::work::{Report, Work, from_environment};

const NODES: usize = 3;
const SERVERS: usize = 3;
const CLIENTS: usize = 6;
/// Sparse, so that they cost what is written.
const MEBIBYTES: u64 = 512;

/// `RINGMASTER_TEST_POWER_CUTS=20` for a long run.
fn rounds() -> u64 {
    from_environment("RINGMASTER_TEST_POWER_CUTS").unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_power_of_all_machines_is_cut_at_once_and_nothing_acknowledged_is_lost() {
    let Some(disks) = Disks::make(NODES + SERVERS, MEBIBYTES) else { return };
    let report = cut_again_and_again(disks, None).await;
    report.print("power cuts");
    report.expect_clean();
}

/// One scenario with a planted bug, such as `no_log_sync`, or none. What it finds is in the report, or keeps the cluster
/// from coming back at all, which is the error.
///
/// # Errors
/// When the cluster did not come back, or the disks cannot be made.
#[allow(dead_code, reason = "for the tests of planted bugs")]
pub(crate) async fn power_cut(plant: Option<&str>) -> Result<Report, String> {
    let disks = Disks::make(NODES + SERVERS, MEBIBYTES).ok_or("no disks of their own can be made here")?;
    // A loss may show as a node that never gets ready, which is a panic of the harness.
    let scenario = AssertUnwindSafe(cut_again_and_again(disks, plant)).catch_unwind();
    scenario.await.map_err(|_| "the cluster did not come back as it was".to_owned())
}

async fn cut_again_and_again(disks: Disks, plant: Option<&str>) -> Report {
    let mut setup = Setup::new(NODES, SERVERS);
    if let Some(plant) = plant {
        setup = setup.with("RINGMASTER__TEST__PLANT", plant);
    }
    let mut cluster = Cluster::prepare(&setup);
    for (disk, process) in cluster.nodes.iter().chain(&cluster.servers).enumerate() {
        disks.give(disk, process);
    }
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(SERVERS).await;
    let all: Vec<usize> = (0..NODES + SERVERS).collect();
    let work = Work::begin(&cluster, CLIENTS).await;
    work.goes_on().await;
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
        cluster.wait_ready().await;
        // The account and its token were acknowledged before all else.
        let (status, answer) = cluster.get(0, "/all?limit=1").await;
        assert_ne!(status, 401, "the first account is gone: {answer}");
        if plant.is_some() {
            // What is lost need not let anybody go on.
            break;
        }
        cluster.wait_for_servers(SERVERS).await;
        work.goes_on().await;
        println!("power cut {}", round + 1);
    }
    // Before the disks: nobody has them in use when they go.
    let report = work.end(&cluster).await;
    cluster.kill_all();
    drop(cluster);
    drop(disks);
    report
}

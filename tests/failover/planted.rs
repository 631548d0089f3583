//! Bugs that only whole clusters show, each planted and caught. `docs/TESTING.md` has the list of all of them.

#[path = "../rerun/mod.rs"]
mod rerun;

use std::time::{Duration, Instant};

use ringmaster::domain::plant::Plant;

use self::rerun::expect_caught;
use crate::disks::Disks;
use crate::signals::{freeze, thaw};
use crate::support::{Cluster, Setup};
use crate::work::Work;

const CLIENTS: usize = 8;
const FROZEN: Duration = Duration::from_secs(3);

#[test]
fn wall_clock_in_apply() {
    let test = "agreement::equal_logs_leave_equal_bytes_on_every_node";
    expect_caught(Plant::WallClockInApply, test, &["the nodes have parted at one index"]);
}

#[test]
fn no_log_sync() {
    // Where disks cannot be made the test of them would pass, and prove nothing.
    if Disks::make(1, 64).is_some() {
        let test = "power::the_power_of_all_machines_is_cut_at_once_and_nothing_acknowledged_is_lost";
        // With its log lost, a cluster may also never come back.
        expect_caught(Plant::NoLogSync, test, &["what was acknowledged is gone", "is ready after a power cut"]);
    }
}

#[test]
fn torn_snapshot_install() {
    let test = "agreement::a_node_that_comes_back_by_snapshot_has_the_same_bytes";
    expect_caught(Plant::TornSnapshotInstall, test, &["the nodes have parted at one index"]);
}

#[test]
fn read_without_read_index() {
    let test = "moments::what_was_acknowledged_is_seen_at_every_node";
    expect_caught(Plant::ReadWithoutReadIndex, test, &["a node read an older state"]);
}

/// The bug of the last test as its users would meet it: clients that race need no more than what they were told.
#[tokio::test(flavor = "multi_thread")]
async fn histories_show_reads_without_read_index() {
    let setup = Setup::new(3, 2).with("RINGMASTER__TEST__PLANT", Plant::ReadWithoutReadIndex);
    let cluster = Cluster::set_up(setup).await;
    for node in &cluster.nodes {
        let log = node.log_text();
        assert!(log.contains("a bug, for tests alone") && log.contains("read_without_read_index"), "{log}");
    }
    let work = Work::begin(&cluster, CLIENTS).await;
    for _ in 0..2 {
        work.goes_on().await;
        let leader = cluster.leader().await;
        freeze(&cluster.nodes[leader]);
        let began = Instant::now();
        while began.elapsed() < FROZEN {
            work.goes_on().await;
        }
        // These wait in its sockets, and it reads them when it wakes up, with the state that it went to sleep with.
        let looks = work.look_through(&cluster, leader);
        loop {
            work.goes_on().await;
            if began.elapsed() >= FROZEN + FROZEN / 2 {
                break;
            }
        }
        thaw(&cluster.nodes[leader]);
        looks.await.expect("no panic");
        cluster.wait_ready().await;
    }
    let report = work.end(&cluster).await;
    report.print("reads without ReadIndex");
    assert!(
        !report.violations.is_empty(),
        "the check of histories finds nothing, RINGMASTER_TEST_SEED={}",
        report.seed
    );
    println!("{}", report.violations[0]);
    // It was wanted.
    report.kept.map(std::fs::remove_file).expect("the history is kept").expect("it can be removed");
}

#[test]
fn query_over_two_snapshots() {
    let test = "moments::a_listing_is_of_one_moment";
    expect_caught(Plant::QueryOverTwoSnapshots, test, &["a listing is of two moments"]);
}

//! Bugs that only whole clusters show, each planted and caught. `docs/TESTING.md` has the list of all of them.

#[path = "../rerun/mod.rs"]
mod rerun;

use rerun::expect_caught;
use ringmaster::domain::plant::Plant;

#[test]
fn wall_clock_in_apply() {
    let test = "agreement::equal_logs_leave_equal_bytes_on_every_node";
    expect_caught(Plant::WallClockInApply, test, "the nodes have parted at one index");
}

#[test]
fn torn_snapshot_install() {
    let test = "agreement::a_node_that_comes_back_by_snapshot_has_the_same_bytes";
    expect_caught(Plant::TornSnapshotInstall, test, "the nodes have parted at one index");
}

#[test]
fn read_without_read_index() {
    let test = "moments::what_was_acknowledged_is_seen_at_every_node";
    expect_caught(Plant::ReadWithoutReadIndex, test, "a node read an older state");
}

#[test]
fn query_over_two_snapshots() {
    let test = "moments::a_listing_is_of_one_moment";
    expect_caught(Plant::QueryOverTwoSnapshots, test, "a listing is of two moments");
}

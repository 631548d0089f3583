//! Bugs that these tests have to catch, each planted. `docs/TESTING.md` has the list of all of them.

#[path = "../rerun/mod.rs"]
mod rerun;

use ringmaster::domain::plant::Plant;

#[test]
fn no_log_sync() {
    let test = "group_commit::one_writer_waits_for_two_syncs_in_parallel";
    rerun::expect_caught(Plant::NoLogSync, test, &["a write was acknowledged before its sync"]);
}

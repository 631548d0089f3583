//! Bugs that the stories of file servers have to catch, each planted. `docs/TESTING.md` has the list of all of them.

use ringmaster::domain::plant::Plant;

use crate::rerun::expect_caught;

#[test]
fn no_epoch_check() {
    expect_caught(Plant::NoEpochCheck, "all_that_can_be_is_whole_when_trouble_ends", &["could be made sound"]);
}

#[test]
fn no_placement_rev_check() {
    let complaint = "took effect on another state of its record";
    expect_caught(Plant::NoPlacementRevCheck, "no_entry_of_the_log_breaks_a_promise", &[complaint]);
}

#[test]
fn early_dequeue() {
    expect_caught(Plant::EarlyDequeue, "late::a_repair_that_came_too_late_is_still_owed", &["has 1 of 2 copies"]);
}

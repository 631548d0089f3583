//! Bugs that the model has to catch, each planted. `docs/TESTING.md` has the list of all of them.

use ringmaster::domain::plant::Plant;

use crate::rerun::expect_caught;

const STORIES: &str = "the_model_agrees_and_no_invariant_breaks";

#[test]
fn lost_operation_record() {
    expect_caught(Plant::LostOperationRecord, STORIES, &["an operation was answered otherwise"]);
}

#[test]
fn lock_expired_by_the_clock() {
    // Without its token it is let in, and with it refused.
    let signs = ["the model Err(Locked)", "the state machine says Err(Rejection { kind: Locked"];
    expect_caught(Plant::LockExpiredByTheClock, STORIES, &signs);
}

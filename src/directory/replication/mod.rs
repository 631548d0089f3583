//! The replication job: making what is missing whole again, moving what has to move, deleting what is to go.
//!
//! ```text
//! plan(state) → candidates → queue → workers: look at the record again → verify, copy server to server → commit
//!                                                                        (batched, conditional on blob and revision)
//! ```
//!
//! It runs on the leader, and everything it remembers may be lost at any moment: the queue, the marks of the round, what
//! is under way. The next leader's plan finds the same work, since nothing is taken off any list before its copy is
//! committed; a copy that was made and not committed is condemned at once, or found by its server's inventory.
//!
//! A round begins every `replication.interval`, and earlier when a server's state changes or a repair is asked for.

mod commit;
mod erase;
mod limits;
mod shift;
mod walk;
mod worker;

pub(crate) use shift::Shift;

//! The replicated state machine: entries, users, grants, locks, servers, the ring, and the rules between them.
//!
//! Everything here is pure and synchronous. Nothing here knows about async, I/O, clocks, randomness, logging,
//! floating point or the iteration order of a hash map: time and fresh ids arrive as arguments, so that
//! every replica that applies the same log comes to the same bytes.

pub mod answer;
pub mod command;
pub mod ids;
pub mod path;
pub mod store;

pub use answer::{Answer, Outcome, Rejection, RejectionKind};
pub use command::{Command, Proposal, Stamped};
pub use ids::*;
pub use path::{FilePath, PathError};
pub use store::{Fault, ReadStore, Store, Table};

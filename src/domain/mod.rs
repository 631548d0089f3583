//! The replicated state machine: entries, users, grants, locks, servers, the ring, and the rules between them.
//!
//! Everything here is pure and synchronous. Nothing here knows about async, I/O, clocks, randomness, logging,
//! floating point or the iteration order of a hash map: time and fresh ids arrive as arguments, so that
//! every replica that applies the same log comes to the same bytes.

pub mod answer;
pub mod apply;
mod asked;
pub mod audit;
mod change;
pub mod check;
pub mod command;
pub mod ids;
pub mod memory;
pub mod overlay;
pub mod path;
pub mod placement;
pub mod plan;
pub mod plant;
pub mod proposal;
pub mod query;
pub mod record;
mod remembered;
pub mod restored;
pub mod rows;
mod rules;
mod seen;
mod stop;
pub mod store;
mod tables;
pub mod terms;

pub use answer::{Answer, Outcome, Rejection, RejectionKind, decode_answer, encode_answer};
pub use apply::apply;
pub use asked::{Asked, PolicyAsked};
pub use check::check;
pub use command::Command;
pub use ids::*;
pub use memory::MemoryStore;
pub use overlay::Overlay;
pub use path::{FilePath, PathError};
pub use plan::plan;
pub use proposal::{Proposal, Stamped, check_frame, stamp};
pub use record::Schema;
pub use store::{Fault, ReadStore, Store, Table};

//! Everything that knows openraft or RocksDB: the log, the replicated state on disk, snapshots, the transport between
//! directory nodes, the forming of a cluster. The floors above see the [`Handle`] and the words of `domain`.
//!
//! `NOTES.md` beside this file has the reasons.

mod acknowledged;
mod apply;
mod damage;
mod deferral;
mod environment;
mod files;
mod formation;
mod handle;
mod log;
mod machine;
mod media;
mod membership;
mod offline;
mod options;
mod production;
mod published;
mod records;
mod rocks;
mod runtime;
mod snapshot;
mod state;
mod status;
mod stopper;
mod storage;
mod tasks;
#[cfg(test)]
mod tests;
mod transport;
mod types;

pub use handle::{Handle, QueryKind};
pub use membership::{MembershipChange, MembershipError, MembershipProgress, Stage};
pub use offline::{Inspection, inspect};
pub use options::{Member, Options, Tuning};
pub use status::{
    AskError, MemberStatus, Metrics, PeerService, ProposeError, ReadError, Role, Room, Status, StepDownReason,
};
pub use transport::{AnswerBody, MemberCalls};

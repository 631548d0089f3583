//! What the leader should do next. It decides nothing that must be agreed on: it reads the state, and each
//! task ends in a command that `apply` judges by the state it finds then.

use super::query;
use super::{ClusterTime, Command, Fault, ReadStore};

/// How many rows one `Expire` or `Reap` works off. Eyeballed: a few milliseconds of one core.
const BATCH_ROWS: u32 = 250;

/// What only the leader knows: it is in no table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Cluster time by the leader's own monotonic clock: it has watched it go by itself.
    pub now: ClusterTime,
}

/// One piece of work, safe to do twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Proposing this command is all there is to do.
    Propose(Command),
}

/// The tasks that are due now, the most urgent first.
///
/// # Errors
/// When the storage fails.
pub fn plan(store: &dyn ReadStore, observed: &Observed) -> Result<Vec<Task>, Fault> {
    let mut tasks = Vec::new();
    if query::due(store, observed.now)? {
        tasks.push(Task::Propose(Command::Expire { limit: BATCH_ROWS }));
    }
    if query::trash_pending(store)? {
        tasks.push(Task::Propose(Command::Reap { limit: BATCH_ROWS }));
    }
    Ok(tasks)
}

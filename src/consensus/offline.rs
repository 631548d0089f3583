//! Looking into the data directory of a node that does not run.

use std::path::Path;

use anyhow::{Context, bail};

use super::formation::DataDir;
use super::rocks;
use super::state::{StateDb, StateStore, digest};
use crate::domain::check;
use crate::domain::check::Violation;

/// What a directory node's data holds.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The last log entry that its state has applied.
    pub applied_index: Option<u64>,
    /// SHA-256 over all rows of the state machine: equal on all nodes at one applied index.
    pub state_sha256: String,
    pub rows: u64,
    /// What `domain::check` finds; empty where all is well.
    pub violations: Vec<Violation>,
}

/// Reads the whole state in a directory node's data directory, and changes nothing in it.
///
/// The state is as its database has it: what the log holds beyond that is applied when the node starts.
///
/// # Errors
/// When it is no such directory, its node runs, or it cannot be read.
pub fn inspect(data_dir: &Path) -> anyhow::Result<Inspection> {
    let state = data_dir.join("state");
    if !state.is_dir() {
        bail!("{} is no directory node's data directory: it has no state in it", data_dir.display());
    }
    // Held to the end: a node that started meanwhile would write beneath us.
    let _lock = DataDir::take(data_dir)?;
    let db = StateStore::look(&rocks::Shared::new(), &state)?;
    let view = db.view_once();
    let violations = check(&view).context("the state cannot be read")?;
    let (state_sha256, rows) = digest(&view).context("the state cannot be read")?;
    Ok(Inspection { applied_index: StateDb::applied_index(&view)?, state_sha256, rows, violations })
}

//! A node's log and state in memory. Its snapshots and who it is are files still.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::log::in_memory::MemoryDisk;
use super::super::log::{LogOptions, LogStore};
use super::super::machine::Machine;
use super::super::media::Media;
use super::super::state::StateStore;
use super::super::state::in_memory::MemoryTables;

/// Outlives the node that opens it. Its clones are the same.
#[derive(Clone)]
pub(crate) struct Memory {
    pub log: MemoryDisk,
    pub state: MemoryTables,
}

impl Memory {
    /// Empty. It asks how long each sync of the log takes.
    pub(crate) fn new(sync_time: impl FnMut() -> Duration + Send + 'static) -> Self {
        Self { log: MemoryDisk::new(sync_time), state: MemoryTables::new() }
    }
}

impl Media for Memory {
    fn has_log(&self, _: &Path) -> bool {
        self.log.has_log()
    }

    fn open_log(&self, options: LogOptions) -> anyhow::Result<LogStore> {
        self.log.open(options)
    }

    fn open_state(&self, _: PathBuf, _: u64, machine: &dyn Machine) -> anyhow::Result<StateStore> {
        self.state.open(machine)
    }
}

//! What a node's log and state lie on: RocksDB on this machine's disk, or what a test puts in its place.

use std::path::{Path, PathBuf};

use super::log::{LogOptions, LogStore};
use super::machine::Machine;
use super::rocks;
use super::state::StateStore;

/// Opens what a node keeps. The parts are directories in its data directory; other media take these as names.
pub(crate) trait Media: Send + Sync + 'static {
    /// Whether there was ever a log in `dir`.
    fn has_log(&self, dir: &Path) -> bool;

    /// # Errors
    /// As [`LogStore::open`].
    fn open_log(&self, options: LogOptions) -> anyhow::Result<LogStore>;

    /// # Errors
    /// As [`StateStore::open`].
    fn open_state(&self, root: PathBuf, node_id: u64, machine: &dyn Machine) -> anyhow::Result<StateStore>;
}

/// RocksDB, with one cache for both.
pub(crate) struct OnDisk(rocks::Shared);

impl OnDisk {
    pub(crate) fn new(shared: rocks::Shared) -> Self {
        Self(shared)
    }
}

impl Media for OnDisk {
    fn has_log(&self, dir: &Path) -> bool {
        dir.join("CURRENT").exists()
    }

    fn open_log(&self, options: LogOptions) -> anyhow::Result<LogStore> {
        LogStore::open(&self.0, options)
    }

    fn open_state(&self, root: PathBuf, node_id: u64, machine: &dyn Machine) -> anyhow::Result<StateStore> {
        StateStore::open(&self.0, root, node_id, machine)
    }
}

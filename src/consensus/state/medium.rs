//! What the state lies on: RocksDB (`on_disk`), or memory (`in_memory`).
//!
//! The state is kept in generations. One is current; the next is built beside it and takes its place as a whole. A medium
//! promises this: a write is whole or not at all; after a power cut a generation has the writes up to some point, and at
//! least all before its last checkpoint; which generation is current changes durably, when it is said.

use std::path::Path;

use crate::domain::{Fault, ReadStore, Table};

/// A row to be put, or deleted where there is no value.
pub(super) type Change = (Table, Vec<u8>, Option<Vec<u8>>);

/// Where a query goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    Here,
    /// It comes to each row once: what it reads must not drive out what others read again and again.
    Everywhere,
}

/// The rows of one generation. They stay while anybody holds this.
pub(super) trait Rows: Send + Sync + 'static {
    /// One consistent state, for queries.
    fn view(&self, walk: Walk) -> Box<dyn ReadStore + '_>;

    /// The state of the moment of each read.
    fn latest(&self) -> Box<dyn ReadStore + '_>;

    /// Not synced.
    fn write(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), Fault>;

    /// Makes a copy in `dir`, durably, of which [`Medium::build`] can make a generation. All that was written before it is
    /// durable after it.
    fn checkpoint(&self, dir: &Path) -> anyhow::Result<()>;

    /// How often work in the background failed since the rows were opened.
    fn background_errors(&self) -> u64;

    /// Where they are, for messages.
    fn place(&self) -> &Path;

    /// Has them removed with the last who holds them.
    fn retire(&self);

    /// Writes a table's memtable to a file, where there are such things.
    #[cfg(test)]
    fn flush(&self, _: Table) {}
}

/// Where the generations of one state are.
pub(super) trait Medium: Send + Sync + 'static {
    /// Opens the current generation, or makes an empty one. What was built and did not become current is removed.
    fn open(&self) -> anyhow::Result<Box<dyn Rows>>;

    /// Builds the generation after the current one from a checkpoint, which stays as it is.
    fn build(&self, checkpoint: &Path) -> anyhow::Result<Box<dyn Rows>>;

    /// Makes what was built last current.
    fn switch(&self) -> anyhow::Result<()>;
}

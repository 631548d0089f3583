//! What a start does: it clears what a crash left, then counts what is there.

use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::layout::{Part, parse_stored, parse_temporary};
use super::{Shard, Store, StoreError, disk};
use crate::domain::BlobId;

impl Store {
    /// Empties `tmp/`, and first undoes the commits that its files show to have been cut short.
    pub(super) fn recover(&self) -> Result<(), StoreError> {
        let left = files_of(&self.layout.tmp)?;
        for entry in &left {
            let name = entry.file_name();
            let Some((blob_id, part)) = name.to_str().and_then(parse_temporary) else { continue };
            let (placed, lacking) = match part {
                Part::Sidecar => (self.layout.data(blob_id), self.layout.sidecar(blob_id)),
                Part::Data => (self.layout.sidecar(blob_id), self.layout.data(blob_id)),
            };
            if disk::exists(&placed)? && !disk::exists(&lacking)? {
                tracing::info!(%blob_id, "a copy whose storing was cut short is removed");
                disk::remove(&placed)?;
            }
        }
        for entry in left {
            disk::remove(&entry.path())?;
        }
        Ok(())
    }

    /// Adds what was there at the start to the totals, directory by directory, while the store is at work: ten million
    /// blobs take minutes, and a server that stays away for minutes is taken for dead. Ends early once `stop` says so.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn count(&self, stop: impl Fn() -> bool) -> Result<(), StoreError> {
        for shard_number in 0..=u8::MAX {
            if !disk::exists(&self.layout.shard(shard_number))? {
                let mut shard = self.shard(shard_number);
                // Looked at again under the lock: a commit may have made it meanwhile.
                if !disk::exists(&self.layout.shard(shard_number))? {
                    shard.counted = [true; 256];
                    continue;
                }
            }
            for leaf_number in 0..=u8::MAX {
                if stop() {
                    return Ok(());
                }
                self.count_leaf(&mut self.shard(shard_number), shard_number, leaf_number)?;
            }
        }
        Ok(())
    }

    fn count_leaf(&self, shard: &mut Shard, shard_number: u8, leaf_number: u8) -> Result<(), StoreError> {
        if shard.counted[usize::from(leaf_number)] {
            return Ok(());
        }
        let dir = self.layout.leaf(shard_number, leaf_number);
        let (mut used, mut blobs) = (0, 0);
        for entry in files_of(&dir)? {
            match entry.file_name().to_str().and_then(parse_stored) {
                Some((_, Part::Data)) => {
                    used += entry.metadata().map_err(disk::failed("cannot examine", &entry.path()))?.len();
                    blobs += 1;
                }
                Some((blob_id, Part::Sidecar)) => self.remove_lone_sidecar(blob_id)?,
                None => {}
            }
        }
        self.used.fetch_add(used, Ordering::Relaxed);
        self.blobs.fetch_add(blobs, Ordering::Relaxed);
        shard.counted[usize::from(leaf_number)] = true;
        Ok(())
    }

    /// The caller holds the shard's lock, so that no commit is between its two renames.
    fn remove_lone_sidecar(&self, blob_id: BlobId) -> Result<(), StoreError> {
        if !disk::exists(&self.layout.data(blob_id))? {
            disk::remove(&self.layout.sidecar(blob_id))?;
        }
        Ok(())
    }
}

/// The files of a directory; none where it is not there.
pub(super) fn files_of(dir: &Path) -> Result<Vec<DirEntry>, StoreError> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries.collect::<Result<_, _>>().map_err(disk::failed("cannot list", dir)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(disk::failed("cannot list", dir)(error)),
    }
}

//! Putting a finished copy in its place, and taking one away.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::layout::position;
use super::sidecar::CopyRecord;
use super::writer::Temporary;
use super::{Shard, Store, StoreError, disk};
use crate::domain::plant::{Plant, planted};
use crate::domain::{BlobId, CopyId};

/// A durable copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored {
    pub(crate) record: CopyRecord,
    /// Whether this very copy was there before.
    pub(crate) existed: bool,
}

/// See [`Store::delete`].
const NO_COPY: CopyId = CopyId(0);

impl Store {
    /// Renames two synced files into place. The second rename is the commit point.
    pub(super) fn place(
        &self,
        record: &CopyRecord,
        replaces: Option<CopyId>,
        files: &Temporary,
    ) -> Result<Stored, StoreError> {
        let blob_id = record.blob_id;
        let (shard_number, leaf_number) = position(blob_id);
        let mut shard = self.shard(shard_number);
        match self.head(blob_id) {
            Err(StoreError::Missing) => {}
            Ok(there) if (there.copy_id, there.size, there.sha256) == (record.copy_id, record.size, record.sha256) => {
                // Another request placed it, and synced it before it let go of the lock.
                return Ok(Stored { record: there, existed: true });
            }
            Ok(there) if replaces != Some(there.copy_id) => return Err(StoreError::Conflict(there.copy_id)),
            Ok(_) | Err(StoreError::Damaged { .. }) => {
                // Gone from the disk before the new sidecar is there: never old bytes beside new checksums.
                self.take_away(&mut shard, blob_id)?;
            }
            Err(error) => return Err(error),
        }
        let leaf = self.ensure_leaf(&mut shard, shard_number, leaf_number)?;
        let names = disk::Names::of(&leaf)?;
        rename(&files.sidecar, &self.layout.sidecar(blob_id))?;
        rename(&files.data, &self.layout.data(blob_id))?;
        names.sync()?;
        if shard.counted[usize::from(leaf_number)] {
            self.used.fetch_add(record.size, Ordering::Relaxed);
            self.blobs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Stored { record: *record, existed: false })
    }

    /// Deletes exactly the copy named, and answers whether it was there. A copy whose record is damaged cannot be told
    /// from the one named; it serves nobody and goes as well. [`NO_COPY`] names no copy: with it, only such a one goes.
    ///
    /// # Errors
    /// `Io` or `Refused`.
    pub(crate) fn delete(&self, blob_id: BlobId, copy_id: CopyId) -> Result<bool, StoreError> {
        let mut shard = self.shard(position(blob_id).0);
        match self.head(blob_id) {
            Err(StoreError::Missing) => Ok(false),
            Ok(_) if copy_id == NO_COPY => Ok(false),
            Ok(there) if there.copy_id != copy_id && !planted(Plant::DeleteWithoutCopyId) => Ok(false),
            Ok(_) | Err(StoreError::Damaged { .. }) => {
                self.writing(|| self.take_away(&mut shard, blob_id)).map(|()| true)
            }
            Err(error) => Err(error),
        }
    }

    /// The data goes first: from then on the copy is gone, whatever happens.
    fn take_away(&self, shard: &mut Shard, blob_id: BlobId) -> Result<(), StoreError> {
        let (shard_number, leaf_number) = position(blob_id);
        let (leaf, data) = (self.layout.leaf(shard_number, leaf_number), self.layout.data(blob_id));
        let names = disk::Names::of(&leaf)?;
        let bytes = self.data_bytes(blob_id);
        if disk::remove(&data)? && shard.counted[usize::from(leaf_number)] {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            self.blobs.fetch_sub(1, Ordering::Relaxed);
        }
        disk::remove(&self.layout.sidecar(blob_id))?;
        names.sync()
    }

    /// Makes a blob's two directories where they are not there, with their names synced once in this process: that they
    /// are there does not yet say that they would be after a power cut.
    fn ensure_leaf(&self, shard: &mut Shard, shard_number: u8, leaf_number: u8) -> Result<PathBuf, StoreError> {
        let leaf = self.layout.leaf(shard_number, leaf_number);
        if !shard.durable[usize::from(leaf_number)] {
            std::fs::create_dir_all(&leaf).map_err(disk::failed("cannot make the directory", &leaf))?;
            disk::Names::of(&self.layout.shard(shard_number))?.sync()?;
            disk::Names::of(&self.layout.blobs)?.sync()?;
            shard.durable[usize::from(leaf_number)] = true;
        }
        Ok(leaf)
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(disk::failed("cannot put in place", to))
}

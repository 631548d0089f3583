//! The blob store: immutable blobs on one disk, each beside the checksums of its chunks.
//!
//! **Write.** Bytes and checksums go to two files in `tmp/`; both are synced; the sidecar is renamed into place, then
//! the data, whose rename is the commit point; the directory is synced; only then is there a receipt. What a crash may
//! leave, and what [`Store::open`] makes of it:
//!
//! - files in `tmp/`, nothing in place: removed;
//! - the sidecar in place, the data in `tmp/`: both removed. A sidecar without data counts as nothing anyway;
//! - the data in place, the sidecar still in `tmp/` (only on a file system that reorders renames; no receipt was given,
//!   since the directory was not synced): both removed;
//! - after a delete was cut short, a sidecar without data: counts as nothing, removed by the next count.
//!
//! Data whose sidecar is gone without such a trace was damaged later. It is kept, answers as damaged, and gives way to
//! the next copy of the blob.
//!
//! One file with the checksums at its end would need one sync less. It was dropped because the blob then is no plain
//! file any more, which people can compare and save with the tools they have when all else fails.
//!
//! All calls here block: run them where blocking is allowed.

mod commit;
mod damage;
mod disk;
mod inventory;
mod layout;
mod reader;
mod recovery;
mod refusal;
mod sidecar;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::damage::DamageQueue;
use self::layout::Layout;
use self::refusal::Refusals;
use self::sidecar::{SidecarError, SidecarReader};
use crate::clock::SharedClock;
use crate::domain::{BlobId, CopyId};

pub(super) use self::commit::Stored;
pub(super) use self::damage::Damage;
pub(super) use self::inventory::Listed;
pub(super) use self::reader::{Block, Reader};
pub(super) use self::sidecar::CopyRecord;
pub(super) use self::writer::{NewCopy, Writer};

/// What is kept free, so that the file system stays usable: one percent, but no more than this.
const MAX_RESERVE_BYTES: u64 = 1024 * 1024 * 1024;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("there is no such copy")]
    Missing,
    #[error("blob {blob_id} is damaged: {what}")]
    Damaged { blob_id: BlobId, what: String },
    #[error("another copy of the blob is here already, {0}")]
    Conflict(CopyId),
    #[error("the disk is full")]
    Full,
    /// It takes no writes; what is on it may be read.
    #[error("the disk takes no writes: {0}")]
    Refused(Arc<str>),
    #[error("{doing}: {error}")]
    Io { doing: String, error: io::Error },
    #[error("a newer release wrote the copy (sidecar version {0}): start that release again")]
    Newer(u32),
}

/// How full the store is, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) capacity: u64,
    pub(super) free: u64,
    /// Grows to the true value while [`Store::count`] runs.
    pub(super) used: u64,
    pub(super) blobs: u64,
}

/// The first byte of a blob's id picks one of these.
#[derive(Debug)]
struct Shard {
    /// Whether a leaf directory's own name is known to be synced.
    durable: [bool; 256],
    /// Whether the blobs of a leaf directory are in the totals.
    counted: [bool; 256],
}

/// A store. See the module's description.
#[derive(Debug)]
pub(super) struct Store {
    layout: Layout,
    /// A commit or a deletion holds its shard's lock while it syncs the directory: 256 of them, so that writers seldom
    /// meet. Reads take none.
    shards: Vec<Mutex<Shard>>,
    clock: SharedClock,
    /// The operator's limit on the bytes of all blobs.
    limit: Option<u64>,
    used: AtomicU64,
    blobs: AtomicU64,
    /// Bytes written to `tmp/`, or announced for it.
    in_flight: AtomicU64,
    damaged: AtomicU64,
    /// What is to be told of the damage that was met.
    damage: DamageQueue,
    refusals: Refusals,
}

impl Store {
    /// Opens or makes the store below `root`, and clears what a crash left.
    ///
    /// # Errors
    /// When the directories cannot be made or read.
    pub(super) fn open(root: &Path, limit: Option<u64>, clock: SharedClock) -> Result<Arc<Self>, StoreError> {
        let layout = Layout::new(root);
        for dir in [&layout.blobs, &layout.tmp] {
            std::fs::create_dir_all(dir).map_err(disk::failed("cannot make the directory", dir))?;
        }
        disk::Names::of(root)?.sync()?;
        let shards = (0..256).map(|_| Mutex::new(Shard { durable: [false; 256], counted: [false; 256] })).collect();
        let refusals = Refusals::new(clock.clone());
        let store = Self {
            layout,
            shards,
            clock,
            refusals,
            limit,
            used: AtomicU64::new(0),
            blobs: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            damage: DamageQueue::default(),
        };
        store.recover()?;
        Ok(Arc::new(store))
    }

    /// The record of a copy, without its bytes.
    ///
    /// # Errors
    /// `Missing`, `Damaged` or `Io`.
    pub(super) fn head(&self, blob_id: BlobId) -> Result<CopyRecord, StoreError> {
        self.open_pair(blob_id).map(|(_, sidecar)| sidecar.record)
    }

    /// How full the store is.
    ///
    /// # Errors
    /// When the file system cannot be measured.
    pub(super) fn usage(&self) -> Result<Usage, StoreError> {
        let space = disk::space(&self.layout.blobs)?;
        if space.read_only {
            self.is_read_only();
        }
        let used = self.used.load(Ordering::Relaxed);
        let reserve = (space.total / 100).min(MAX_RESERVE_BYTES);
        let capacity = self.limit.map_or(space.total, |limit| limit.min(space.total));
        let below_limit = self.limit.map_or(u64::MAX, |limit| {
            limit.saturating_sub(used).saturating_sub(self.in_flight.load(Ordering::Relaxed))
        });
        let free = space.free.saturating_sub(reserve).min(below_limit);
        Ok(Usage { capacity, free, used, blobs: self.blobs.load(Ordering::Relaxed) })
    }

    /// The bytes and the number of all blobs, as far as they were counted.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.used.load(Ordering::Relaxed), self.blobs.load(Ordering::Relaxed))
    }

    /// How often a damaged copy was met since the start.
    pub(super) fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// The size of a data file as it is; 0 where it is gone.
    fn data_bytes(&self, blob_id: BlobId) -> u64 {
        std::fs::metadata(self.layout.data(blob_id)).map_or(0, |metadata| metadata.len())
    }

    fn shard(&self, shard: u8) -> MutexGuard<'_, Shard> {
        // The flags stay true to the disk even where their holder panicked: each is set after the fact.
        self.shards[usize::from(shard)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The two files of a copy, that belong together, without a lock.
    ///
    /// A copy may be deleted, and another put in its place, between the two openings. The data is opened first, and must
    /// still be under its name afterwards; otherwise the two are looked for again. That suffices because a deletion
    /// begins with the data and a commit ends with it.
    fn open_pair(&self, blob_id: BlobId) -> Result<(File, SidecarReader), StoreError> {
        let path = self.layout.data(blob_id);
        for _ in 0..16 {
            let data = match File::open(&path) {
                Ok(data) => data,
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(StoreError::Missing),
                Err(error) => return Err(disk::failed("cannot open", &path)(error)),
            };
            let sidecar = self.open_sidecar(blob_id);
            let opened = data.metadata().map_err(disk::failed("cannot examine", &path))?;
            let named = match std::fs::metadata(&path) {
                Ok(named) => named,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(disk::failed("cannot examine", &path)(error)),
            };
            if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
                continue;
            }
            let sidecar = sidecar.map_err(|error| self.sidecar_failed(blob_id, None, error))?;
            if opened.len() != sidecar.record.size {
                let what = format!("{} bytes are there of {}", opened.len(), sidecar.record.size);
                return Err(self.damage(blob_id, Some(sidecar.record.copy_id), what));
            }
            return Ok((data, sidecar));
        }
        Err(StoreError::Missing)
    }

    fn open_sidecar(&self, blob_id: BlobId) -> Result<SidecarReader, SidecarError> {
        match File::open(self.layout.sidecar(blob_id)) {
            Ok(file) => SidecarReader::open(file, blob_id),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(SidecarError::Damaged("its sidecar is gone")),
            Err(error) => Err(error.into()),
        }
    }

    /// `copy_id` where the record could be read.
    fn sidecar_failed(&self, blob_id: BlobId, copy_id: Option<CopyId>, error: SidecarError) -> StoreError {
        match error {
            SidecarError::Damaged(what) => self.damage(blob_id, copy_id, what.to_owned()),
            // A sector that cannot be read is damage as well; too many open files are not.
            SidecarError::Io(error) if disk::is_bad_sector(&error) => {
                self.damage(blob_id, copy_id, format!("its sidecar cannot be read: {error}"))
            }
            SidecarError::Newer(version) => StoreError::Newer(version),
            SidecarError::Io(error) => disk::failed("cannot read", &self.layout.sidecar(blob_id))(error),
        }
    }

    /// Counts damage as it is met, and has it reported. `copy_id` is not known where the record itself is damaged.
    fn damage(&self, blob_id: BlobId, copy_id: Option<CopyId>, what: String) -> StoreError {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        self.damage.push(Damage { blob_id, copy_id });
        StoreError::Damaged { blob_id, what }
    }
}

//! A copy on its way to the disk.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::Digest;

use super::layout::Part;
use super::sidecar::{CHUNK_BYTES, CopyRecord, SidecarWriter};
use super::{Store, StoreError, Stored, disk};
use crate::domain::{BlobId, CopyId, Sha256};
use crate::local;

/// How much is written between two syncs. It bounds what the last one has left to do, and thereby how long the receipt
/// takes: a writer that waits for it drops the server after ten seconds. Eyeballed: a third of a second on a poor disk.
const SYNC_BYTES: u64 = 32 * 1024 * 1024;
/// Below that, reserving space costs more than it tells.
const PREALLOCATE_BYTES: u64 = 1024 * 1024;

/// A copy to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewCopy {
    pub(crate) blob_id: BlobId,
    pub(crate) copy_id: CopyId,
    /// The exact size where it is known before the bytes.
    pub(crate) length: Option<u64>,
    /// A copy that is to be deleted, or was found damaged just now, and gives way to this one. Any other that is there
    /// stays.
    pub(crate) replaces: Option<CopyId>,
}

/// Two growing files in `tmp/`, which are gone when this is dropped before [`Self::commit`].
#[derive(Debug)]
pub(crate) struct Writer {
    store: Arc<Store>,
    new: NewCopy,
    files: Temporary,
    data: File,
    sidecar: SidecarWriter,
    sha256: sha2::Sha256,
    size: u64,
    chunk_crc: u32,
    chunk_bytes: u64,
    unsynced: u64,
}

/// The names of the two files, and the bytes that they take of the store's room. Dropped, it removes what is left.
#[derive(Debug)]
pub(super) struct Temporary {
    store: Arc<Store>,
    pub(super) data: PathBuf,
    pub(super) sidecar: PathBuf,
    reserved: u64,
}

impl Temporary {
    fn reserve(&mut self, bytes: u64) {
        self.store.in_flight.fetch_add(bytes, Ordering::Relaxed);
        self.reserved += bytes;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.store.in_flight.fetch_sub(self.reserved, Ordering::Relaxed);
        for path in [&self.data, &self.sidecar] {
            if let Err(error) = disk::remove(path) {
                tracing::warn!(%error, "a temporary file stays until the next start");
            }
        }
    }
}

impl Store {
    /// Begins a new copy.
    ///
    /// # Errors
    /// `Full` where the announced length does not fit, `Refused`, or `Io`.
    pub(crate) fn begin(self: &Arc<Self>, new: NewCopy) -> Result<Writer, StoreError> {
        self.writing_anew(|| self.begin_copy(new))
    }

    fn begin_copy(self: &Arc<Self>, new: NewCopy) -> Result<Writer, StoreError> {
        let length = new.length.unwrap_or(0);
        if self.usage()?.free < length.max(1) {
            return Err(StoreError::Full);
        }
        let nonce = u64::from_be_bytes(self.clock.random());
        let name = |part| self.layout.temporary(new.blob_id, new.copy_id, nonce, part);
        let mut files =
            Temporary { store: Arc::clone(self), data: name(Part::Data), sidecar: name(Part::Sidecar), reserved: 0 };
        let data = create(&files.data)?;
        if length >= PREALLOCATE_BYTES {
            disk::preallocate(&data, &files.data, length)?;
        }
        files.reserve(length);
        let sidecar = SidecarWriter::new(create(&files.sidecar)?, new.copy_id)
            .map_err(disk::failed("cannot write", &files.sidecar))?;
        Ok(Writer {
            store: Arc::clone(self),
            new,
            files,
            data,
            sidecar,
            sha256: sha2::Sha256::new(),
            size: 0,
            chunk_crc: 0,
            chunk_bytes: 0,
            unsynced: 0,
        })
    }
}

impl Writer {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `Full`, `Refused` or `Io`. The copy then can only be dropped.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        store.writing(|| self.take(bytes))
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let size = self.size + bytes.len() as u64;
        if size > self.files.reserved {
            // Not announced, so not looked at by `begin`.
            self.files.reserve(size - self.files.reserved);
            if self.store.usage()?.free == 0 {
                return Err(StoreError::Full);
            }
        }
        self.data.write_all(bytes).map_err(disk::failed("cannot write", &self.files.data))?;
        self.sha256.update(bytes);
        self.checksum(bytes)?;
        self.size = size;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            disk::sync_data(&self.data, &self.files.data)?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// The digest of the bytes taken so far.
    pub(crate) fn sha256(&self) -> Sha256 {
        Sha256(self.sha256.clone().finalize().into())
    }

    /// Makes the copy durable and visible, in this order. The same copy of the same bytes that is there already is as
    /// good as this one.
    ///
    /// # Errors
    /// `Conflict` where another copy of the blob is there, `Full`, `Refused` or `Io`.
    pub(crate) fn commit(self) -> Result<Stored, StoreError> {
        let store = Arc::clone(&self.store);
        store.writing(|| self.finish())
    }

    fn finish(mut self) -> Result<Stored, StoreError> {
        if self.chunk_bytes > 0 {
            self.push_chunk()?;
        }
        let record = CopyRecord {
            blob_id: self.new.blob_id,
            copy_id: self.new.copy_id,
            size: self.size,
            sha256: Sha256(self.sha256.finalize().into()),
            stored_at_wall_ms: self.store.clock.agreed_ms(),
        };
        let sidecar = self.sidecar.finish(&record).map_err(disk::failed("cannot write", &self.files.sidecar))?;
        disk::sync_file(&self.data, &self.files.data)?;
        disk::sync_file(&sidecar, &self.files.sidecar)?;
        self.store.place(&record, self.new.replaces, &self.files)
    }

    fn checksum(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = (CHUNK_BYTES - self.chunk_bytes) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.chunk_crc = crc32c::crc32c_append(self.chunk_crc, now);
            self.chunk_bytes += now.len() as u64;
            if self.chunk_bytes == CHUNK_BYTES {
                self.push_chunk()?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn push_chunk(&mut self) -> Result<(), StoreError> {
        self.sidecar.push(self.chunk_crc).map_err(disk::failed("cannot write", &self.files.sidecar))?;
        self.chunk_crc = 0;
        self.chunk_bytes = 0;
        Ok(())
    }
}

fn create(path: &Path) -> Result<File, StoreError> {
    local::private().create_new(true).open(path).map_err(disk::failed("cannot make", path))
}

//! Reading a copy, with every chunk checked before a byte of it leaves.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use super::sidecar::{CHUNK_BYTES, CopyRecord, SidecarReader};
use super::{Store, StoreError, disk};
use crate::domain::BlobId;

/// What one turn reads: large enough that handing it over costs nothing beside it, small enough for many readers.
const BLOCK_BYTES: u64 = 1024 * 1024;

/// A copy, or a part of it, being read. It can be read to its end even if it is deleted meanwhile.
#[derive(Debug)]
pub(crate) struct Reader {
    store: Arc<Store>,
    data: File,
    sidecar: SidecarReader,
    position: u64,
    end: u64,
    /// Whether the bytes are to come from the disk itself, see [`Reader::past_cache`].
    from_disk: bool,
}

/// Checked bytes, and why no more follow where that is so.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) bytes: Bytes,
    pub(crate) failure: Option<StoreError>,
}

impl Store {
    /// Opens a copy. The caller picks the part to read with [`Reader::select`].
    ///
    /// # Errors
    /// `Missing`, `Damaged` or `Io`.
    pub(crate) fn read(self: &Arc<Self>, blob_id: BlobId) -> Result<Reader, StoreError> {
        let (data, sidecar) = self.open_pair(blob_id)?;
        let end = sidecar.record.size;
        Ok(Reader { store: Arc::clone(self), data, sidecar, position: 0, end, from_disk: false })
    }
}

impl Reader {
    pub(crate) const fn record(&self) -> CopyRecord {
        self.sidecar.record
    }

    /// Reads only `range`, which lies within the copy.
    #[must_use]
    pub(crate) fn select(mut self, range: &Range<u64>) -> Self {
        self.position = range.start;
        self.end = range.end.min(self.sidecar.record.size);
        self
    }

    /// Reads what the disk holds and not what the kernel remembers of it, and leaves nothing in its memory.
    #[must_use]
    pub(crate) fn past_cache(mut self) -> Self {
        self.from_disk = true;
        self.sidecar.forget_cached();
        self
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.position >= self.end
    }

    /// The next bytes. After a failure there is no use in asking again.
    pub(crate) fn next_block(&mut self) -> Block {
        if self.is_done() {
            return Block { bytes: Bytes::new(), failure: None };
        }
        let start = self.position - self.position % CHUNK_BYTES;
        let stop = self
            .end
            .next_multiple_of(CHUNK_BYTES)
            .min(self.sidecar.record.size)
            .min(start - start % BLOCK_BYTES + BLOCK_BYTES);
        let mut buffer = vec![0; (stop - start) as usize];
        if self.from_disk {
            disk::forget_cached(&self.data, start, stop - start);
        }
        let failure = match self.data.read_exact_at(&mut buffer, start) {
            Ok(()) => self.verify(start, &mut buffer).err(),
            Err(error) => {
                buffer.clear();
                Some(self.read_failed(&error))
            }
        };
        if self.from_disk {
            disk::forget_cached(&self.data, start, stop - start);
        }
        let good = start + buffer.len() as u64;
        let from = (self.position - start).min(buffer.len() as u64) as usize;
        let to = (self.end.min(good).max(self.position) - start).min(buffer.len() as u64) as usize;
        let bytes = Bytes::from(buffer).slice(from..to);
        self.position += bytes.len() as u64;
        Block { bytes, failure }
    }

    /// Cuts `buffer` before the first chunk that is not what was written.
    fn verify(&mut self, start: u64, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        let CopyRecord { blob_id, copy_id, .. } = self.sidecar.record;
        for at in (0..buffer.len()).step_by(CHUNK_BYTES as usize) {
            let offset = start + at as u64;
            let checked = self.sidecar.chunk_crc(offset / CHUNK_BYTES);
            let wanted = match checked {
                Ok(wanted) => wanted,
                Err(error) => {
                    buffer.truncate(at);
                    return Err(self.store.sidecar_failed(blob_id, Some(copy_id), error));
                }
            };
            let end = buffer.len().min(at + CHUNK_BYTES as usize);
            if crc32c::crc32c(&buffer[at..end]) != wanted {
                buffer.truncate(at);
                let what = format!("the chunk at byte {offset} fails its checksum");
                return Err(self.store.damage(blob_id, Some(copy_id), what));
            }
        }
        Ok(())
    }

    /// A sector that cannot be read is damage as well.
    fn read_failed(&self, error: &std::io::Error) -> StoreError {
        let what = match error.kind() {
            ErrorKind::UnexpectedEof => "its data is cut short".to_owned(),
            _ => format!("its data cannot be read: {error}"),
        };
        let CopyRecord { blob_id, copy_id, .. } = self.sidecar.record;
        self.store.damage(blob_id, Some(copy_id), what)
    }
}

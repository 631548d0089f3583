//! The sidecar of a copy: its record, and the CRC32C of every 64 KiB of its bytes.
//!
//! ```text
//! header, 96 bytes   magic 4 | version 4 | chunk bytes 4 | blob_id 16 | copy_id 16 | size 8 | stored at 8 | sha256 32 | crc 4
//! page, 1,028 bytes  256 times the CRC of a chunk, 4 bytes each, then the CRC of the page; the last page is shorter
//! ```
//!
//! Integers are big-endian. The table is cut into pages with checksums of their own because it must not have to be in
//! memory as a whole: that of a 5 TiB blob is 320 MiB. The CRC of a page covers the copy's id and the page's number as
//! well, so that a page in the wrong place is noticed.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;

use super::disk;
use crate::domain::{BlobId, CopyId, Sha256};

/// Bytes covered by one checksum: the smallest piece that is read from the disk.
pub(crate) const CHUNK_BYTES: u64 = 64 * 1024;
pub(super) const HEADER_BYTES: usize = 96;
const PAGE_CHUNKS: usize = 256;
const PAGE_BYTES: u64 = (PAGE_CHUNKS as u64 + 1) * 4;
const MAGIC: [u8; 4] = *b"RMsc";
const VERSION: u32 = 1;

/// What a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CopyRecord {
    pub(crate) blob_id: BlobId,
    pub(crate) copy_id: CopyId,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
    /// By this machine's wall clock.
    pub(crate) stored_at_wall_ms: u64,
}

/// Why a sidecar cannot be used.
#[derive(Debug)]
pub(super) enum SidecarError {
    /// Its bytes are not what was written.
    Damaged(&'static str),
    /// A newer release wrote it. Never to be taken for damage: the copy is good.
    Newer(u32),
    Io(std::io::Error),
}

impl From<std::io::Error> for SidecarError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Damaged("its sidecar is too short"),
            _ => Self::Io(error),
        }
    }
}

fn encode_header(record: &CopyRecord) -> [u8; HEADER_BYTES] {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend(MAGIC);
    header.extend(VERSION.to_be_bytes());
    header.extend((CHUNK_BYTES as u32).to_be_bytes());
    header.extend(record.blob_id.0.to_be_bytes());
    header.extend(record.copy_id.0.to_be_bytes());
    header.extend(record.size.to_be_bytes());
    header.extend(record.stored_at_wall_ms.to_be_bytes());
    header.extend(record.sha256.0);
    header.extend(crc32c::crc32c(&header).to_be_bytes());
    header.try_into().expect("the fields above add up to the size of a header")
}

fn decode_header(header: &[u8; HEADER_BYTES]) -> Result<CopyRecord, SidecarError> {
    let (body, crc) = header.split_at(HEADER_BYTES - 4);
    if crc != crc32c::crc32c(body).to_be_bytes() {
        return Err(SidecarError::Damaged("the header of its sidecar fails its checksum"));
    }
    let mut rest = body;
    if take::<4>(&mut rest) != MAGIC {
        return Err(SidecarError::Damaged("its sidecar is no sidecar"));
    }
    let version = u32::from_be_bytes(take(&mut rest));
    let chunk_bytes = u32::from_be_bytes(take(&mut rest));
    if version != VERSION || u64::from(chunk_bytes) != CHUNK_BYTES {
        return Err(SidecarError::Newer(version));
    }
    Ok(CopyRecord {
        blob_id: BlobId(u128::from_be_bytes(take(&mut rest))),
        copy_id: CopyId(u128::from_be_bytes(take(&mut rest))),
        size: u64::from_be_bytes(take(&mut rest)),
        stored_at_wall_ms: u64::from_be_bytes(take(&mut rest)),
        sha256: Sha256(take(&mut rest)),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_first_chunk().expect("a header has room for all its fields");
    *rest = tail;
    *head
}

fn page_crc(copy_id: CopyId, page: u64, entries: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&copy_id.0.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &page.to_be_bytes()), entries)
}

fn chunks_of(size: u64) -> u64 {
    size.div_ceil(CHUNK_BYTES)
}

/// The length of the sidecar of a blob of `size` bytes.
fn length_for(size: u64) -> u64 {
    let pages = chunks_of(size).div_ceil(PAGE_CHUNKS as u64);
    HEADER_BYTES as u64 + chunks_of(size) * 4 + pages * 4
}

/// Writes a sidecar while the blob arrives, one page in memory at a time.
#[derive(Debug)]
pub(super) struct SidecarWriter {
    file: File,
    copy_id: CopyId,
    entries: Vec<u8>,
    page: u64,
}

impl SidecarWriter {
    /// `file` is empty. The header's place is left for [`Self::finish`], since it names the size and the digest.
    pub(super) fn new(mut file: File, copy_id: CopyId) -> std::io::Result<Self> {
        file.write_all(&[0; HEADER_BYTES])?;
        Ok(Self { file, copy_id, entries: Vec::new(), page: 0 })
    }

    pub(super) fn push(&mut self, chunk_crc: u32) -> std::io::Result<()> {
        self.entries.extend(chunk_crc.to_be_bytes());
        if self.entries.len() == PAGE_CHUNKS * 4 {
            self.flush_page()?;
        }
        Ok(())
    }

    /// Writes what is left and the header; the file still has to be synced.
    pub(super) fn finish(mut self, record: &CopyRecord) -> std::io::Result<File> {
        if !self.entries.is_empty() {
            self.flush_page()?;
        }
        self.file.write_all_at(&encode_header(record), 0)?;
        Ok(self.file)
    }

    fn flush_page(&mut self) -> std::io::Result<()> {
        let crc = page_crc(self.copy_id, self.page, &self.entries);
        self.entries.extend(crc.to_be_bytes());
        self.file.write_all(&self.entries)?;
        self.entries.clear();
        self.page += 1;
        Ok(())
    }
}

/// Reads a sidecar, one page in memory at a time.
#[derive(Debug)]
pub(super) struct SidecarReader {
    file: File,
    pub(super) record: CopyRecord,
    page: Option<(u64, Vec<u8>)>,
}

impl SidecarReader {
    pub(super) fn open(file: File, blob_id: BlobId) -> Result<Self, SidecarError> {
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let record = decode_header(&header)?;
        if record.blob_id != blob_id {
            return Err(SidecarError::Damaged("its sidecar is that of another blob"));
        }
        if file.metadata()?.len() != length_for(record.size) {
            return Err(SidecarError::Damaged("its sidecar has the wrong length"));
        }
        Ok(Self { file, record, page: None })
    }

    /// Has the checksums come from the disk itself, see [`disk::forget_cached`].
    pub(super) fn forget_cached(&self) {
        disk::forget_cached(&self.file, 0, length_for(self.record.size));
    }

    /// The checksum of one chunk.
    pub(super) fn chunk_crc(&mut self, chunk: u64) -> Result<u32, SidecarError> {
        let page = chunk / PAGE_CHUNKS as u64;
        if self.page.as_ref().is_none_or(|(number, _)| *number != page) {
            self.page = Some((page, self.read_page(page)?));
        }
        let at = (chunk % PAGE_CHUNKS as u64) as usize * 4;
        self.page
            .as_ref()
            .and_then(|(_, entries)| entries.get(at..)?.first_chunk())
            .map(|crc| u32::from_be_bytes(*crc))
            .ok_or(SidecarError::Damaged("its sidecar has too few checksums"))
    }

    fn read_page(&self, page: u64) -> Result<Vec<u8>, SidecarError> {
        let before = page * PAGE_CHUNKS as u64;
        let chunks = chunks_of(self.record.size).saturating_sub(before).min(PAGE_CHUNKS as u64) as usize;
        let mut entries = vec![0; chunks * 4 + 4];
        self.file.read_exact_at(&mut entries, HEADER_BYTES as u64 + page * PAGE_BYTES)?;
        let crc = entries.split_off(chunks * 4);
        if crc != page_crc(self.record.copy_id, page, &entries).to_be_bytes() {
            return Err(SidecarError::Damaged("its checksums fail their own checksum"));
        }
        Ok(entries)
    }
}

//! What can be read but once (standard input, a pipe, a device, a file without a size), kept until it is stored: an upload
//! that breaks off is sent again from its start, and its digest is known before its first byte is sent.
//!
//! A small one stays in memory. A larger one goes into a temporary file without a name, which goes with the process,
//! however that ends.

use std::fs::File;
use std::io::{self, Read, Write};

use bytes::Bytes;
use sha2::Digest;

use super::error::ClientError;
use crate::domain::Sha256;

/// What stays in memory.
const IN_MEMORY: usize = 1 << 20;
/// What is left free of the disk for others: a twentieth of it, and no more than this.
const MOST_LEFT_FREE: u64 = 1 << 30;

/// Bytes that can be read again.
pub(super) enum Kept {
    InMemory(Bytes),
    OnDisk(File),
}

/// All that there was to read.
pub(super) struct Spool {
    pub(super) kept: Kept,
    pub(super) length: u64,
    pub(super) digest: Sha256,
}

impl Spool {
    /// Reads to the end. Blocks.
    ///
    /// # Errors
    /// When it cannot be read, or cannot be kept.
    pub(super) fn fill(name: &str, mut from: impl Read) -> Result<Self, ClientError> {
        let mut hash = sha2::Sha256::new();
        let (mut file, mut length) = (None, 0);
        loop {
            let mut piece = Vec::with_capacity(IN_MEMORY);
            let read = (&mut from).take(IN_MEMORY as u64).read_to_end(&mut piece);
            read.map_err(|error| ClientError::local(format_args!("cannot read {name}"), &error))?;
            hash.update(&piece);
            length += piece.len() as u64;
            let ended = piece.len() < IN_MEMORY;
            let kept = if ended && file.is_none() {
                Kept::InMemory(piece.into())
            } else {
                Kept::OnDisk(put_aside(file.take(), &piece).map_err(|error| cannot_keep(name, &error))?)
            };
            match kept {
                kept if ended => return Ok(Self { kept, length, digest: Sha256(hash.finalize().into()) }),
                Kept::OnDisk(kept) => file = Some(kept),
                Kept::InMemory(_) => {}
            }
        }
    }
}

/// Appends to the file, which is made for the first of it.
fn put_aside(file: Option<File>, bytes: &[u8]) -> io::Result<File> {
    let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
    let disk = rustix::fs::fstatvfs(&file)?;
    let left_free = (disk.f_blocks.saturating_mul(disk.f_frsize) / 20).min(MOST_LEFT_FREE);
    if disk.f_bavail.saturating_mul(disk.f_frsize) < left_free.saturating_add(bytes.len() as u64) {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "there is not enough room"));
    }
    file.write_all(bytes)?;
    Ok(file)
}

fn cannot_keep(name: &str, error: &io::Error) -> ClientError {
    let place = std::env::temp_dir();
    let what = format!("cannot keep {name} in {} until it is stored", place.display());
    if error.kind() == io::ErrorKind::StorageFull {
        let told = format!("{error}; set TMPDIR to a directory with more of it");
        return ClientError::local(what, &io::Error::new(error.kind(), told));
    }
    ClientError::local(what, error)
}

//! Whether a backup is whole: the sums of its indexes, the state machine's invariants, and the digest of every blob.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use sha2::Digest;

use super::damaged;
use super::folder::{Folder, log_entry};
use super::index::Index;
use crate::domain::check::Violation;
use crate::domain::{BlobId, FileId, Sha256, Table, check, query, restored};

/// Ids of blobs that are known to be right: beyond so many a blob that several indexes name is read again.
const REMEMBERED: usize = 4_000_000;

/// Faults that are kept by name, a few megabytes of them; what is beyond these is counted.
pub const MAX_NAMED: usize = 10_000;

/// A file whose bytes a backup has not, or not as they were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileFault {
    pub file_id: u64,
    /// `OWNER:/PATH` at the moment of the backup.
    pub path: String,
    /// What is wrong, in words.
    pub detail: String,
}

impl FileFault {
    /// # Errors
    /// When the index cannot be read.
    pub fn new(index: &Index, file_id: FileId, detail: String) -> anyhow::Result<Self> {
        let path = query::full_path(index, file_id).map_err(|fault| damaged(index.path(), fault.0))?;
        Ok(Self { file_id: file_id.0, path, detail })
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (file {}): {}", self.path, self.file_id, self.detail)
    }
}

/// How far work over the files of an index is, for whoever looks on.
#[derive(Debug, Default)]
pub struct Seen {
    pub files: AtomicU64,
    pub bytes: AtomicU64,
}

/// What is right about an index, and what is not.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    pub index: PathBuf,
    pub applied_index: u64,
    pub sha256: String,
    pub rows: u64,
    pub files: u64,
    /// Of all blobs that it names.
    pub bytes: u64,
    /// What `domain::check` finds; empty where all is well.
    pub violations: Vec<String>,
    /// Files whose bytes are missing or not what was written, in the order of their ids; the first [`MAX_NAMED`].
    pub faults: Vec<FileFault>,
    /// All of those files, by their ids.
    pub damaged: BTreeSet<u64>,
}

/// Blobs that were found right, so that those of several indexes are read once.
#[derive(Default)]
pub struct Named(HashSet<BlobId>);

/// Reads every blob that an index names. Blobs that are missing or damaged are told in what it returns.
///
/// # Errors
/// When the index itself is not what was written. The message names it and says what to do.
pub fn verify_index(folder: &Folder, index: &Index, known: &mut Named, seen: &Seen) -> anyhow::Result<Verified> {
    let path = index.path();
    folder.belongs(&index.head)?;
    if log_entry(path) != Some(index.head.applied_index) {
        return Err(damaged(path, "its name is not the one of what is in it"));
    }
    let violations = check(index).map_err(|fault| damaged(path, fault.0))?;
    let (mut bytes, mut files) = (0_u64, 0);
    let (mut faults, mut damaged_files) = (Vec::new(), BTreeSet::new());
    index.each(Table::Entries, |_, value| {
        let Some((file_id, content)) = restored::file(value).map_err(|fault| damaged(path, fault.0))? else {
            return Ok(());
        };
        files += 1;
        bytes = bytes.saturating_add(content.size);
        let blob = content.blob_id;
        if known.0.contains(&blob) {
            seen.files.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let file = folder.blob_path(blob);
        let fault = match sum(&file, seen) {
            Ok(found) if found == (content.size, content.sha256) => None,
            Ok((size, sha256)) => Some(format!(
                "{} is damaged: {} bytes with SHA-256 {} were backed up, here are {size} with {sha256}",
                file.display(),
                content.size,
                content.sha256
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{} is missing", file.display())),
            Err(error) => Some(format!("{} cannot be read: {error}", file.display())),
        };
        seen.files.fetch_add(1, Ordering::Relaxed);
        match fault {
            None if known.0.len() < REMEMBERED => drop(known.0.insert(blob)),
            None => {}
            Some(detail) => {
                damaged_files.insert(file_id.0);
                if faults.len() < MAX_NAMED {
                    faults.push(FileFault::new(index, file_id, detail)?);
                }
            }
        }
        Ok(())
    })?;
    if files != index.files {
        return Err(damaged(path, "it has another number of files than it says"));
    }
    let told = |violation: Violation| format!("{}: {}", violation.invariant, violation.detail);
    Ok(Verified {
        index: path.to_owned(),
        applied_index: index.head.applied_index,
        sha256: index.sha256.to_string(),
        rows: index.rows,
        files,
        bytes,
        violations: violations.into_iter().map(told).collect(),
        faults,
        damaged: damaged_files,
    })
}

/// The size and the digest of a file.
///
/// # Errors
/// When it cannot be read.
pub fn file_sha256(path: &Path) -> io::Result<(u64, Sha256)> {
    sum(path, &Seen::default())
}

fn sum(path: &Path, seen: &Seen) -> io::Result<(u64, Sha256)> {
    let mut file = File::open(path)?;
    let (mut hash, mut size) = (sha2::Sha256::new(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, Sha256(hash.finalize().into())));
        }
        hash.update(&buffer[..read]);
        size += read as u64;
        seen.bytes.fetch_add(read as u64, Ordering::Relaxed);
    }
}

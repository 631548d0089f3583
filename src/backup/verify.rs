//! Whether a backup is whole: the sums of its indexes, the state machine's invariants, and the digest of every blob.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use sha2::Digest;

use super::damaged;
use super::folder::{Folder, log_entry};
use super::index::Index;
use crate::domain::check::Violation;
use crate::domain::{BlobId, ContentId, FileId, Sha256, check, query};
use crate::local;

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
    pub extents: u64,
    /// Of all blobs that it names.
    pub bytes: u64,
    /// What `domain::check` finds; empty where all is well.
    pub violations: Vec<String>,
    /// Files whose bytes are missing or not what was written, in the order of their ids; the first [`MAX_NAMED`].
    pub faults: Vec<FileFault>,
    /// How many files and old versions of files these are.
    pub damaged_files: u64,
    /// The contents whose bytes those are.
    #[serde(skip)]
    pub damaged: BTreeSet<ContentId>,
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
    let (mut bytes, mut extents) = (0_u64, 0);
    let mut found_damaged = BTreeMap::new();
    index.each_extent(|content_id, extent| {
        extents += 1;
        bytes = bytes.saturating_add(extent.size);
        let blob = extent.blob_id;
        if known.0.contains(&blob) {
            seen.files.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let file = folder.blob_path(blob);
        let fault = match sum(&file, seen) {
            Ok(found) if found == (extent.size, extent.sha256) => None,
            Ok((size, sha256)) => Some(format!(
                "{} is damaged: {} bytes with SHA-256 {} were backed up, here are {size} with {sha256}",
                file.display(),
                extent.size,
                extent.sha256
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(format!("{} is missing", file.display())),
            Err(error) => Some(format!("{} cannot be read: {error}", file.display())),
        };
        seen.files.fetch_add(1, Ordering::Relaxed);
        match fault {
            None if known.0.len() < REMEMBERED => drop(known.0.insert(blob)),
            None => {}
            Some(detail) => drop(found_damaged.insert(content_id, detail)),
        }
        Ok(())
    })?;
    if extents != index.extents {
        return Err(damaged(path, "it has another number of extents than it says"));
    }
    let (faults, files) = name_faults(index, &found_damaged)?;
    let told = |violation: Violation| format!("{}: {}", violation.invariant, violation.detail);
    Ok(Verified {
        index: path.to_owned(),
        applied_index: index.head.applied_index,
        sha256: index.sha256.to_string(),
        rows: index.rows,
        extents,
        bytes,
        violations: violations.into_iter().map(told).collect(),
        faults,
        damaged_files: files,
        damaged: found_damaged.into_keys().collect(),
    })
}

/// The files that name damaged contents, the first [`MAX_NAMED`] by their names, and how many there are. An old version is
/// told as its file.
///
/// # Errors
/// When the index cannot be read.
pub fn name_faults(index: &Index, damaged: &BTreeMap<ContentId, String>) -> anyhow::Result<(Vec<FileFault>, u64)> {
    let (mut faults, mut files) = (Vec::new(), 0);
    if damaged.is_empty() {
        return Ok((faults, files));
    }
    index.each_version(|file_id, version, current| {
        let Some(detail) = damaged.get(&version.content_id) else { return Ok(()) };
        files += 1;
        if faults.len() < MAX_NAMED {
            let what = if current { String::new() } else { format!("version {}: ", version.version) };
            faults.push(FileFault::new(index, file_id, format!("{what}{detail}"))?);
        }
        Ok(())
    })?;
    Ok((faults, files))
}

/// The size and the digest of a file.
///
/// # Errors
/// When it cannot be read.
pub fn file_sha256(path: &Path) -> io::Result<(u64, Sha256)> {
    sum(path, &Seen::default())
}

fn sum(path: &Path, seen: &Seen) -> io::Result<(u64, Sha256)> {
    let mut file = local::open_file(path)?;
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

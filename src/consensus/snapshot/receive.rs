//! Receiving a snapshot, file by file.
//!
//! What arrives is written to a directory with a temporary name. A transfer that broke off goes on where it was when
//! the same sender offers the same files again; any other offer starts anew. Nothing of this touches the state machine:
//! the finished directory is handed to Raft, which has it installed or drops it.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::super::files;
use super::super::types::Blob;
use super::{DATABASE, SnapshotFiles, Snapshots, covered_index};

/// More files than a database of a hundred million rows has; a limit against nonsense.
const MAX_FILES: usize = 100_000;

/// The offer of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub name: String,
    pub files: Vec<FileOffer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileOffer {
    pub name: String,
    pub size: u64,
}

/// A piece of one file.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// The snapshot's name.
    pub snapshot: String,
    /// The file's place in the offer.
    pub file: usize,
    pub offset: u64,
    pub data: Blob,
    /// CRC-32C of the file from its start to the end of this piece.
    pub crc: u32,
}

/// What arrives at the moment: one snapshot at most.
pub(crate) struct Receiver {
    snapshots: Arc<Snapshots>,
    incoming: Mutex<Option<Incoming>>,
}

struct Incoming {
    from: u64,
    offer: Offer,
    target: SnapshotFiles,
    progress: Vec<Progress>,
    touched: Instant,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    received: u64,
    crc: u32,
    complete: bool,
}

impl Receiver {
    pub(crate) fn new(snapshots: Arc<Snapshots>) -> Self {
        Self { snapshots, incoming: Mutex::new(None) }
    }

    /// Answers how many bytes of each offered file are here already.
    ///
    /// # Errors
    /// When the offer makes no sense, or the disk fails.
    pub(crate) fn begin(&self, from: u64, offer: Offer) -> anyhow::Result<Vec<u64>> {
        check(&offer)?;
        let mut slot = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = slot.as_ref().is_some_and(|incoming| incoming.from == from && incoming.offer == offer);
        if !goes_on {
            // First, so that there is room for the new one.
            *slot = None;
            let target = SnapshotFiles::new(self.snapshots.temporary_dir()?);
            target.retire();
            files::make_dir(&target.database())?;
            let progress = vec![Progress::default(); offer.files.len()];
            *slot = Some(Incoming { from, offer, target, progress, touched: Instant::now() });
        }
        if let Some(incoming) = slot.as_mut() {
            incoming.touched = Instant::now();
        }
        Ok(slot.iter().flat_map(|incoming| incoming.progress.iter().map(|file| file.received)).collect())
    }

    /// Writes a piece.
    ///
    /// # Errors
    /// When it is not the next piece of a file that was offered, is damaged, or the disk fails.
    pub(crate) fn write(&self, from: u64, piece: &Piece) -> anyhow::Result<()> {
        let mut slot = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let incoming = expected(&mut slot, from, &piece.snapshot)?;
        incoming.touched = Instant::now();
        let written = incoming.write(piece);
        if written.is_err() {
            // What is here and what the sender believes to be here have parted: the next offer starts anew.
            *slot = None;
        }
        written
    }

    /// Throws away what stopped arriving `idle` ago, and what this node has applied in the meantime by other means.
    pub(crate) fn forget(&self, idle: Duration, applied: Option<u64>) {
        let mut slot = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let old = slot.take_if(|incoming| {
            let covers = covered_index(&incoming.offer.name);
            incoming.touched.elapsed() >= idle || covers.is_some_and(|index| applied.is_some_and(|at| at >= index))
        });
        drop(slot);
        drop(old); // Its files go with it.
    }

    /// The complete snapshot, synced. Its files go away with it unless it is adopted.
    ///
    /// # Errors
    /// When something is missing.
    pub(crate) fn finish(&self, from: u64, name: &str) -> anyhow::Result<SnapshotFiles> {
        let mut slot = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let incoming = expected(&mut slot, from, name)?;
        for (offered, progress) in incoming.offer.files.iter().zip(&incoming.progress) {
            ensure!(progress.complete, "the snapshot's file {} is not complete", offered.name);
        }
        files::sync_dir(&incoming.target.database())?;
        let target = incoming.target.clone();
        *slot = None;
        Ok(target)
    }
}

impl Incoming {
    fn write(&mut self, piece: &Piece) -> anyhow::Result<()> {
        let (Some(offered), Some(progress)) = (self.offer.files.get(piece.file), self.progress.get_mut(piece.file))
        else {
            bail!("the snapshot has no file {}", piece.file);
        };
        // An empty file has no byte by which an offer could tell that it is here: it is sent again, and is no news.
        if progress.complete && offered.size == 0 && piece.data.0.is_empty() {
            return Ok(());
        }
        let end = piece.offset + piece.data.0.len() as u64;
        ensure!(
            piece.offset == progress.received && end <= offered.size && !progress.complete,
            "a piece of {} at {} where {} is expected",
            offered.name,
            piece.offset,
            progress.received
        );
        let crc = crc32c::crc32c_append(progress.crc, &piece.data.0);
        ensure!(crc == piece.crc, "a piece of {} at {} is damaged", offered.name, piece.offset);
        let path = self.target.database().join(&offered.name);
        let complete = end == offered.size;
        write_at(&path, piece.offset, &piece.data.0, complete)
            .with_context(|| format!("cannot write {}", path.display()))?;
        *progress = Progress { received: end, crc, complete };
        Ok(())
    }
}

fn expected<'a>(slot: &'a mut Option<Incoming>, from: u64, name: &str) -> anyhow::Result<&'a mut Incoming> {
    match slot {
        Some(incoming) if incoming.from == from && incoming.offer.name == name => Ok(incoming),
        _ => bail!("snapshot {name} of node {from} is not under way here: offer it again"),
    }
}

fn check(offer: &Offer) -> anyhow::Result<()> {
    ensure!(offer.files.len() <= MAX_FILES, "the snapshot has {} files", offer.files.len());
    for file in &offer.files {
        let plain = !file.name.is_empty()
            && !file.name.starts_with('.')
            && file.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        ensure!(plain, "the snapshot has a file with the name {:?}", file.name);
    }
    Ok(())
}

fn write_at(path: &PathBuf, offset: u64, data: &[u8], last: bool) -> std::io::Result<()> {
    let mut file = if offset == 0 { File::create(path)? } else { OpenOptions::new().write(true).open(path)? };
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(data)?;
    if last { file.sync_all() } else { Ok(()) }
}

/// The offer of what is in `source`.
///
/// # Errors
/// When the files cannot be listed.
pub(super) fn offer_of(source: &SnapshotFiles) -> anyhow::Result<Offer> {
    let dir = source.database();
    let mut offered = Vec::new();
    for name in files::list_names(&dir)? {
        let size = fs::metadata(dir.join(&name)).with_context(|| format!("cannot read {name}"))?.len();
        offered.push(FileOffer { name, size });
    }
    debug_assert!(dir.ends_with(DATABASE));
    Ok(Offer { name: source.name(), files: offered })
}

//! Receiving a snapshot, file by file.
//!
//! A transfer that broke off goes on where it was when the same sender offers the same files again, also after this
//! process was killed; any other offer starts anew. Nothing of this touches the state machine: the finished directory
//! is handed to Raft, which has it installed or drops it.
//!
//! Layout of `incoming`: the offer in `offer`, and in `db` the files. One that is not complete has `.part` at the end of
//! its name and loses it when it is complete and synced. So after a crash of the machine whatever has its own name is
//! whole; and of a part every byte is covered by the checksum that comes with the next piece.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::files;
use super::super::types::Blob;
use super::{DATABASE, INCOMING, SnapshotFiles, Snapshots, covered_index};
use crate::local;

/// More files than a database of a hundred million rows has; a limit against nonsense.
const MAX_FILES: usize = 100_000;

pub(super) const OFFER: &str = "offer";
pub(super) const PART: &str = ".part";

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
    received: AtomicU64,
    resumed: AtomicU64,
}

/// What `offer` holds, as MessagePack.
#[derive(Serialize, Deserialize)]
struct Noted {
    from: u64,
    offer: Offer,
}

struct Incoming {
    from: u64,
    offer: Offer,
    dir: PathBuf,
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
    /// Takes up what a transfer left that broke off with the last process.
    pub(crate) fn new(snapshots: Arc<Snapshots>) -> Self {
        let dir = snapshots.root.join(INCOMING);
        let left = Incoming::left_in(&dir);
        if left.is_none()
            && let Err(error) = files::remove_dir(&dir)
        {
            tracing::warn!(%error, "what arrived of a snapshot stays on the disk until the next one arrives");
        }
        Self { snapshots, incoming: Mutex::new(left), received: AtomicU64::new(0), resumed: AtomicU64::new(0) }
    }

    /// Bytes that arrived since the start.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes that did not come again because transfers went on where they were.
    pub(crate) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Answers how many bytes of each offered file are here already.
    ///
    /// # Errors
    /// When the offer makes no sense, or the disk fails.
    pub(crate) fn begin(&self, from: u64, offer: Offer) -> anyhow::Result<Vec<u64>> {
        check(&offer)?;
        let mut slot = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let same = slot.take().filter(|incoming| incoming.from == from && incoming.offer == offer);
        let incoming = match same {
            Some(incoming) => Incoming { touched: Instant::now(), ..incoming },
            None => Incoming::begin(self.snapshots.root.join(INCOMING), from, offer)?,
        };
        let there: Vec<u64> = incoming.progress.iter().map(|file| file.received).collect();
        self.resumed.fetch_add(there.iter().sum(), Ordering::Relaxed);
        *slot = Some(incoming);
        Ok(there)
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
        if written.is_ok() {
            self.received.fetch_add(piece.data.0.len() as u64, Ordering::Relaxed);
        } else {
            // What is here and what the sender believes to be here have parted: the next offer starts anew.
            discard(&mut slot);
        }
        written
    }

    /// Throws away what stopped arriving `idle` ago, and what this node has applied in the meantime by other means.
    pub(crate) fn forget(&self, idle: Duration, applied: Option<u64>) {
        let mut slot = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        let old = slot.as_ref().is_some_and(|incoming| {
            let covers = covered_index(&incoming.offer.name);
            incoming.touched.elapsed() >= idle || covers.is_some_and(|index| applied.is_some_and(|at| at >= index))
        });
        if old {
            discard(&mut slot);
        }
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
        files::sync_dir(&incoming.dir.join(DATABASE))?;
        // Another name, so that the next offer, which may come before this is installed, finds its place free.
        let dir = self.snapshots.temporary_dir()?;
        fs::remove_dir(&dir)
            .and_then(|()| fs::rename(&incoming.dir, &dir))
            .with_context(|| format!("cannot rename {} to {}", incoming.dir.display(), dir.display()))?;
        *slot = None;
        let files = SnapshotFiles::new(dir);
        files.retire();
        // It says what arrived, and this has arrived.
        fs::remove_file(files.0.dir.join(OFFER)).context("cannot remove a snapshot's offer")?;
        Ok(files)
    }
}

impl Incoming {
    fn begin(dir: PathBuf, from: u64, offer: Offer) -> anyhow::Result<Self> {
        // First, so that there is room for the new one.
        files::remove_dir(&dir)?;
        files::make_dir(&dir.join(DATABASE))?;
        let noted = Noted { from, offer };
        let bytes = rmp_serde::to_vec_named(&noted).context("an offer cannot be encoded")?;
        files::write_atomically(&dir.join(OFFER), |file| file.write_all(&bytes))?;
        let Noted { from, offer } = noted;
        let progress = vec![Progress::default(); offer.files.len()];
        Ok(Self { from, offer, dir, progress, touched: Instant::now() })
    }

    /// What there is in `dir`, if it can be gone on with.
    fn left_in(dir: &Path) -> Option<Self> {
        let Noted { from, offer } = rmp_serde::from_slice(&fs::read(dir.join(OFFER)).ok()?).ok()?;
        check(&offer).ok()?;
        let database = dir.join(DATABASE);
        let mut progress = Vec::new();
        for file in &offer.files {
            let whole = fs::metadata(database.join(&file.name)).is_ok_and(|data| data.len() == file.size);
            progress.push(if whole {
                // Nobody asks for the checksum of what is complete.
                Progress { received: file.size, crc: 0, complete: true }
            } else {
                part_left(&database.join(format!("{}{PART}", file.name)), file.size).unwrap_or_default()
            });
        }
        Some(Self { from, offer, dir: dir.to_owned(), progress, touched: Instant::now() })
    }

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
        let path = self.dir.join(DATABASE).join(&offered.name);
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
            && !file.name.ends_with(PART)
            && file.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        ensure!(plain, "the snapshot has a file with the name {:?}", file.name);
    }
    Ok(())
}

fn write_at(path: &Path, offset: u64, data: &[u8], last: bool) -> io::Result<()> {
    let part = path.with_file_name(format!("{}{PART}", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut file = local::private().create(offset == 0).truncate(offset == 0).open(&part)?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(data)?;
    if last {
        file.sync_all()?;
        fs::rename(&part, path)?;
    }
    Ok(())
}

/// How far a part got. One byte at least is left to come, and with it the checksum: what was written last was perhaps
/// not synced.
fn part_left(path: &Path, size: u64) -> Option<Progress> {
    let mut file = File::open(path).ok()?.take(size.saturating_sub(1));
    let (mut buffer, mut received, mut crc) = (vec![0; 1 << 20], 0, 0);
    loop {
        let count = file.read(&mut buffer).ok()?;
        if count == 0 {
            return Some(Progress { received, crc, complete: false });
        }
        crc = crc32c::crc32c_append(crc, &buffer[..count]);
        received += count as u64;
    }
}

/// Forgets what arrives, and removes its files.
fn discard(slot: &mut Option<Incoming>) {
    if let Some(incoming) = slot.take()
        && let Err(error) = files::remove_dir(&incoming.dir)
    {
        tracing::warn!(%error, "what arrived of a snapshot stays on the disk until the next one arrives");
    }
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

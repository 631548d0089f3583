//! Snapshots: checkpoints of the state database, kept as directories.
//!
//! Layout of the directory: one subdirectory for each finished snapshot (`<index>-<term>-<leader>`), with the database
//! in `db` and in `mark` what it covers. One that is being made has a name that starts with `new-`, and gets its own by
//! a rename when it is complete and synced, so that whatever has a final name is whole. There is one of those most of
//! the time; an older one goes when its last reader has let go of it. What another node sends arrives in `incoming`,
//! which outlives a crash, see `receive`.

mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use super::files;
use super::records::{self, AppliedRecord};
use super::state::StateDb;
use super::types::{SnapshotMeta, TypeConfig};

pub(crate) use self::receive::{Offer, Piece, Receiver};
pub(crate) use self::send::{Destination, send};

pub(crate) type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotFiles>;

const TEMPORARY: &str = "new-";
const INCOMING: &str = "incoming";
const MARK: &str = "mark";
const DATABASE: &str = "db";

/// The snapshots of a node.
pub(crate) struct Snapshots {
    root: PathBuf,
    current: Mutex<Option<Snapshot>>,
    taken: AtomicU64,
    temporary: AtomicU64,
}

/// The files of one snapshot. They stay while anybody holds this.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFiles(Arc<Files>);

#[derive(Debug)]
struct Files {
    dir: PathBuf,
    obsolete: AtomicBool,
}

impl SnapshotFiles {
    fn new(dir: PathBuf) -> Self {
        Self(Arc::new(Files { dir, obsolete: AtomicBool::new(false) }))
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.dir.join(DATABASE)
    }

    fn name(&self) -> String {
        self.0.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn retire(&self) {
        self.0.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire)
            && let Err(error) = files::remove_dir(&self.dir)
        {
            tracing::warn!(%error, "an old snapshot stays on the disk until the next start");
        }
    }
}

impl Snapshots {
    /// Finds the newest whole snapshot in `root` and sweeps away everything else but what is arriving. A snapshot can always be made again,
    /// so a damaged one is no error.
    ///
    /// # Errors
    /// When the directory cannot be read or changed.
    pub(crate) fn open(root: PathBuf) -> anyhow::Result<Self> {
        files::make_dir(&root)?;
        let mut newest: Option<Snapshot> = None;
        for name in files::list_names(&root)?.into_iter().filter(|name| name != INCOMING) {
            let dir = root.join(&name);
            let whole = if name.starts_with(TEMPORARY) { None } else { read_snapshot(&dir) };
            let Some(snapshot) = whole else {
                files::remove_dir(&dir)?;
                continue;
            };
            let newer = newest.as_ref().is_none_or(|other| other.meta.last_log_id < snapshot.meta.last_log_id);
            let older = if newer { newest.replace(snapshot) } else { Some(snapshot) };
            if let Some(older) = older {
                older.snapshot.retire();
            }
        }
        Ok(Self { root, current: Mutex::new(newest), taken: AtomicU64::new(0), temporary: AtomicU64::new(0) })
    }

    pub(crate) fn current(&self) -> Option<Snapshot> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many snapshots this process has taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a snapshot of the database as it is. Nothing may be applied meanwhile.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn take(&self, db: &StateDb) -> anyhow::Result<Snapshot> {
        let (last, membership) = db.applied_state()?;
        let mark = AppliedRecord::new(last.as_ref(), &membership);
        if let Some(current) = self.current()
            && current.meta.last_log_id == last
        {
            return Ok(current);
        }
        let dir = self.temporary_dir()?;
        db.checkpoint(&dir.join(DATABASE))?;
        let snapshot = self.finish(&dir, &mark)?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(snapshot)
    }

    /// Makes a snapshot that was received here, or that another node keeps, one of this node's.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn adopt(&self, snapshot: &SnapshotFiles, mark: &AppliedRecord) -> anyhow::Result<SnapshotFiles> {
        let ours = snapshot.0.dir.parent() == Some(&self.root);
        if ours && !snapshot.name().starts_with(TEMPORARY) {
            return Ok(snapshot.clone());
        }
        let dir = if ours {
            snapshot.0.dir.clone()
        } else {
            let dir = self.temporary_dir()?;
            files::clone_database(&snapshot.database(), &dir.join(DATABASE))?;
            dir
        };
        Ok(self.finish(&dir, mark)?.snapshot)
    }

    fn temporary_dir(&self) -> anyhow::Result<PathBuf> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let dir = self.root.join(format!("{TEMPORARY}{number}"));
        files::remove_dir(&dir)?;
        files::make_dir(&dir)?;
        Ok(dir)
    }

    /// Gives a complete snapshot its final name, and makes it the current one.
    fn finish(&self, dir: &Path, mark: &AppliedRecord) -> anyhow::Result<Snapshot> {
        files::write_atomically(&dir.join(MARK), |file| file.write_all(&records::seal(MARK.as_bytes(), mark)))?;
        files::sync_dir(&dir.join(DATABASE))?;
        let target = self.root.join(name_of(mark));
        if let Some(current) = self.current().filter(|current| current.snapshot.0.dir == target) {
            // The same log applied to the same point: what is there serves as well.
            files::remove_dir(dir)?;
            return Ok(current);
        }
        files::remove_dir(&target)?;
        fs::rename(dir, &target).with_context(|| format!("cannot rename {} to {}", dir.display(), target.display()))?;
        files::sync_dir(&self.root)?;
        let snapshot = snapshot_at(target, mark.clone())?;
        let old = self.current.lock().unwrap_or_else(PoisonError::into_inner).replace(snapshot.clone());
        if let Some(old) = old {
            old.snapshot.retire();
        }
        Ok(snapshot)
    }
}

/// The name says what is covered, so that two snapshots with one name have the same content.
fn name_of(mark: &AppliedRecord) -> String {
    mark.last.as_ref().map_or_else(|| "empty".to_owned(), |id| format!("{:020}-{}-{}", id.index, id.term, id.leader))
}

/// The index in such a name.
fn covered_index(name: &str) -> Option<u64> {
    name.split('-').next()?.parse().ok()
}

fn read_snapshot(dir: &Path) -> Option<Snapshot> {
    let bytes = fs::read(dir.join(MARK)).ok()?;
    let mark = records::open(MARK.as_bytes(), &bytes).ok()?;
    snapshot_at(dir.to_owned(), mark).ok()
}

fn snapshot_at(dir: PathBuf, mark: AppliedRecord) -> anyhow::Result<Snapshot> {
    let (last_log_id, last_membership) = mark.into_parts()?;
    Ok(Snapshot { meta: SnapshotMeta { last_log_id, last_membership }, snapshot: SnapshotFiles::new(dir) })
}

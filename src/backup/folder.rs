//! A backup's folder.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::format::Head;
use super::index::Index;
use super::{damaged, sync_dir};
use crate::domain::BlobId;
use crate::local;

/// Names in `tmp/`; the others there are of blobs.
const INDEX: &str = "index";
const WHOLE: &str = "whole";

/// Ids of blobs that a sweep holds in memory at once: 64 MiB or so.
const SWEPT_AT_ONCE: u64 = 2_000_000;

/// What lies in a folder of backups, and what a broken-off one may have left. A disk of its own has `lost+found`, too.
const NAMES: [&str; 7] = ["backup.json", "blobs", "indexes", "latest", LOCK, READERS, "tmp"];
/// The mode of the folders: they hold everybody's files.
const PRIVATE: u32 = 0o700;
/// Locked by the one process that writes.
const LOCK: &str = "lock";
/// Locked by those that read, together, and by a sweep alone: what is being read must not vanish.
const READERS: &str = "readers";

/// A folder with the backups of one cluster.
pub struct Folder {
    root: PathBuf,
    /// Held while this process writes, or reads.
    _lock: Option<File>,
}

/// `backup.json`. Everything in it is in every index too, so that a change of it is noticed.
#[derive(Serialize, Deserialize)]
struct Label {
    cluster_id: String,
    cluster_name: String,
}

/// What a blob's file in the folder is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// One of the right size is there.
    Already,
    Missing,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    pub indexes: u64,
    pub blobs: u64,
    pub bytes: u64,
    /// Indexes that are left.
    pub kept: u64,
    /// Of these, the ones that lack bytes of some files.
    pub kept_incomplete: u64,
}

impl Folder {
    /// Opens a folder to read from. Nobody removes old backups from it meanwhile, unless it is on a medium that takes no
    /// locks.
    ///
    /// # Errors
    /// When it is none, or old backups are just being removed.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let folder = Self { root: root.to_owned(), _lock: None };
        if !folder.label_path().is_file() || !folder.indexes().is_dir() {
            bail!("{} is no backup: it has no backup.json and indexes/ in it", root.display());
        }
        let lock = local::open_file(&root.join(READERS)).ok();
        if let Some(lock) = &lock
            && matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
        {
            bail!("old backups are just being removed from {}: try again in a moment", root.display());
        }
        Ok(Self { _lock: lock, ..folder })
    }

    /// Whether there is a backup, or the beginning of one.
    pub fn is_one(root: &Path) -> bool {
        root.join("backup.json").exists() || root.join("indexes").is_dir()
    }

    /// Opens a folder to write into, or makes it, readable by its owner alone: it holds everybody's files. What a broken
    /// backup left half-written is removed.
    ///
    /// # Errors
    /// When it holds anything else than backups, another backup runs there, or it cannot be written.
    pub fn create(root: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write to the folder {}", root.display());
        match fs::read_dir(root) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.with_context(cannot)?;
                    let name = entry.file_name();
                    let of_the_disk = name == "lost+found" && entry.file_type().is_ok_and(|kind| kind.is_dir());
                    if !of_the_disk && !NAMES.iter().any(|ours| name == *ours) {
                        bail!(
                            "{} holds something else than backups ({}): name an empty folder, or one that is not there yet",
                            root.display(),
                            name.display()
                        );
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if root.is_symlink() {
                    bail!("{} is a link to nothing: remove it, or make the folder that it leads to", root.display());
                }
            }
            Err(error) => return Err(error).with_context(cannot),
        }
        for dir in [root.to_owned(), root.join("indexes"), root.join("blobs"), root.join("tmp")] {
            local::make_folders(&dir, PRIVATE).with_context(cannot)?;
        }
        let lock = private(&root.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another backup writes to {}: wait until it has ended", root.display())
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        for entry in fs::read_dir(root.join("tmp")).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let name = entry.file_name();
            // Nothing that somebody else may have put there.
            if name.to_str().is_some_and(|name| name == INDEX || name == WHOLE || BlobId::parse(name).is_some()) {
                fs::remove_file(entry.path()).with_context(cannot)?;
            }
        }
        private(&root.join(READERS))?;
        sync_dir(root)?;
        Ok(Self { root: root.to_owned(), _lock: Some(lock) })
    }

    /// Sees to it that the folder is of this cluster alone.
    ///
    /// # Errors
    /// When it is another one's.
    pub fn claim(&self, head: &Head) -> anyhow::Result<()> {
        let path = self.label_path();
        if path.exists() {
            return self.belongs(head);
        }
        let label = Label { cluster_id: head.cluster_id.clone(), cluster_name: head.cluster_name.clone() };
        self.write_whole(&path, serde_json::to_string(&label)?.as_bytes())
    }

    /// # Errors
    /// When the folder is of another cluster than the index.
    pub fn belongs(&self, head: &Head) -> anyhow::Result<()> {
        let path = self.label_path();
        let text = read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let label: Label = serde_json::from_str(&text).map_err(|error| damaged(&path, error))?;
        if label.cluster_id != head.cluster_id || label.cluster_name != head.cluster_name {
            bail!(
                "{} says that the folder is of cluster {} ({}), and this is cluster {} ({}): use another folder for each \
                 cluster; if it is the same one, the file is damaged",
                path.display(),
                label.cluster_name,
                label.cluster_id,
                head.cluster_name,
                head.cluster_id
            );
        }
        Ok(())
    }

    /// Where a blob is put together.
    pub fn temporary_blob(&self, blob: BlobId) -> PathBuf {
        self.temporary(&blob.to_string())
    }

    /// Where an index is put together.
    pub fn temporary_index(&self) -> PathBuf {
        self.temporary(INDEX)
    }

    fn temporary(&self, name: &str) -> PathBuf {
        self.root.join("tmp").join(name)
    }

    pub fn blob_path(&self, blob: BlobId) -> PathBuf {
        let name = blob.to_string();
        self.blobs().join(&name[..2]).join(name)
    }

    /// # Errors
    /// When the folder cannot be read.
    pub fn look(&self, blob: BlobId, size: u64) -> anyhow::Result<Fetched> {
        let path = self.blob_path(blob);
        match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.len() == size => Ok(Fetched::Already),
            Ok(_) => Ok(Fetched::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Fetched::Missing),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Gives a blob that is whole and on the disk its name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn land_blob(&self, temporary: &Path, blob: BlobId) -> anyhow::Result<()> {
        let path = self.blob_path(blob);
        let dir = path.parent().expect("a blob is in a folder");
        local::make_folders(dir, PRIVATE)
            .and_then(|()| fs::rename(temporary, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Ends a backup: with this, and not before, the index counts.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn land_index(&self, temporary: &Path, applied_index: u64) -> anyhow::Result<PathBuf> {
        for dir in self.blob_dirs()? {
            sync_dir(&dir)?;
        }
        sync_dir(&self.blobs())?;
        let name = format!("{applied_index:020}.idx");
        let path = self.indexes().join(&name);
        fs::rename(temporary, &path).with_context(|| format!("cannot write {}", path.display()))?;
        sync_dir(&self.indexes())?;
        self.write_whole(&self.root.join("latest"), format!("{name}\n").as_bytes())?;
        Ok(path)
    }

    /// All indexes, the oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<PathBuf>> {
        let dir = self.indexes();
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "idx") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// The newest one. The folder and the file `latest` must agree: one that is gone is told, and not passed over.
    ///
    /// # Errors
    /// When there is none, or `latest` names another.
    pub fn latest(&self) -> anyhow::Result<PathBuf> {
        let path = self.root.join("latest");
        let mut all = self.list()?;
        let (newest, older) = (all.pop(), all.len());
        let newest = newest.with_context(|| {
            format!("{} has no finished backup in it: run `ringmaster backup` again", self.root.display())
        })?;
        // A crash between the two renames leaves an index that is newer than `latest` says, and whole.
        let known = match read_text(&path) {
            Ok(text) => {
                let named = self.indexes().join(text.trim_end_matches('\n'));
                named.extension().is_some_and(|extension| extension == "idx") && named.is_file()
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => older == 0,
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        if !known {
            bail!(
                "{} does not name an index that is there: the newest backup is gone. The newest that is there can be \
                 verified and restored with --index {}",
                path.display(),
                log_entry(&newest).unwrap_or_default()
            );
        }
        Ok(newest)
    }

    /// The index of one log entry.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_entry(&self, wanted: u64) -> anyhow::Result<PathBuf> {
        let all = self.list()?;
        let found = all.iter().find(|path| log_entry(path) == Some(wanted)).cloned();
        found.with_context(|| {
            let there = all.iter().filter_map(|path| log_entry(path)).map(|entry| entry.to_string());
            format!("there is no backup of log entry {wanted}, but of: {}", there.collect::<Vec<_>>().join(", "))
        })
    }

    /// Removes all indexes but the newest `keep` and the newest `keep` of those whose blobs are all there, and the blobs
    /// that none of these names.
    ///
    /// Were whole and incomplete ones counted alike, a file server that is away for a week would cost the last whole
    /// backup, and were only whole ones counted, one file that is lost for good would keep everything for ever. The ids
    /// of the blobs to be kept are collected in as many rounds as keep them within bounded memory.
    ///
    /// # Errors
    /// When somebody reads in the folder, or an index to be kept is damaged: then nothing more is removed.
    pub fn sweep(&self, keep: usize) -> anyhow::Result<Swept> {
        let alone = private(&self.root.join(READERS))?;
        if alone.try_lock().is_err() {
            bail!(
                "the backup is made, but nothing old was removed: a restore or a verification reads in {}. Run the same \
                 command again when it has ended",
                self.root.display()
            );
        }
        let mut swept = Swept::default();
        let keep = keep.max(1);
        let (mut kept, mut gone, mut whole) = (Vec::new(), Vec::new(), 0);
        let mut there = HashSet::new();
        for (newer, path) in self.list()?.into_iter().rev().enumerate() {
            if newer >= keep && whole >= keep {
                gone.push(path);
                continue;
            }
            let index = Index::open(&path)?;
            let is_whole = self.has_all(&index, &mut there)?;
            if newer >= keep && !is_whole {
                gone.push(path);
                continue;
            }
            whole += usize::from(is_whole);
            swept.kept += 1;
            swept.kept_incomplete += u64::from(!is_whole);
            kept.push(index);
        }
        drop(there);
        for path in gone {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            swept.indexes += 1;
        }
        sync_dir(&self.indexes())?;
        let named: u64 = kept.iter().map(|index| index.extents).sum();
        let rounds = named.div_ceil(SWEPT_AT_ONCE).clamp(1, 256);
        for round in 0..rounds {
            let mine = |blob: BlobId| (blob.0 >> 120) as u64 % rounds == round;
            let mut wanted = HashSet::new();
            for index in &kept {
                index.each_extent(|_, extent| {
                    if mine(extent.blob_id) {
                        wanted.insert(extent.blob_id);
                    }
                    Ok(())
                })?;
            }
            self.each_blob(|blob, path, size| {
                if mine(blob) && !wanted.contains(&blob) {
                    fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
                    swept.blobs += 1;
                    swept.bytes += size;
                }
                Ok(())
            })?;
        }
        Ok(swept)
    }

    /// Whether every blob that an index names is there with its size. `there` has those that were found, so that
    /// indexes with the same blobs ask once.
    fn has_all(&self, index: &Index, there: &mut HashSet<BlobId>) -> anyhow::Result<bool> {
        let mut all = true;
        index.each_extent(|_, extent| {
            let blob = extent.blob_id;
            if !all || there.contains(&blob) {
                return Ok(());
            }
            all = self.look(blob, extent.size)? == Fetched::Already;
            if all && (there.len() as u64) < SWEPT_AT_ONCE {
                there.insert(blob);
            }
            Ok(())
        })?;
        Ok(all)
    }

    fn each_blob(&self, mut visit: impl FnMut(BlobId, &Path, u64) -> anyhow::Result<()>) -> anyhow::Result<()> {
        for dir in self.blob_dirs()? {
            let cannot = || format!("cannot read {}", dir.display());
            for entry in fs::read_dir(&dir).with_context(cannot)? {
                let entry = entry.with_context(cannot)?;
                let Some(blob) = entry.file_name().to_str().and_then(BlobId::parse) else { continue };
                let metadata = entry.metadata().with_context(cannot)?;
                if metadata.is_file() {
                    visit(blob, &entry.path(), metadata.len())?;
                }
            }
        }
        Ok(())
    }

    /// The folders that blobs lie in. What else somebody has put beside them is passed over.
    fn blob_dirs(&self) -> anyhow::Result<Vec<PathBuf>> {
        let blobs = self.blobs();
        let cannot = || format!("cannot read {}", blobs.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(&blobs).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let name = entry.file_name();
            let ours = name.len() == 2 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
            if ours && entry.path().is_dir() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let temporary = self.temporary(WHOLE);
        let write = || -> io::Result<()> {
            let mut file = local::create_private(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        sync_dir(&self.root)
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    fn indexes(&self) -> PathBuf {
        self.root.join("indexes")
    }

    fn label_path(&self) -> PathBuf {
        self.root.join("backup.json")
    }
}

/// Which log entry an index is of, by its name.
pub(super) fn log_entry(index: &Path) -> Option<u64> {
    index.file_stem()?.to_str()?.parse().ok()
}

/// A file to be locked.
fn private(path: &Path) -> anyhow::Result<File> {
    local::open_private(path).with_context(|| format!("cannot write {}", path.display()))
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    local::open_file(path)?.read_to_string(&mut text)?;
    Ok(text)
}

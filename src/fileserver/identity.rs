//! Whose data directory this is. `server.json` binds it to a file server and a cluster; a lock keeps a second process
//! away.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::clock::SharedClock;
use crate::domain::{ClusterId, Incarnation, ServerId, ServerUuid};
use crate::local;

const IDENTITY: &str = "server.json";
const LOCK: &str = "lock";
/// What a directory node keeps in its data directory.
const DIRECTORY_IDENTITY: &str = "node.json";
const FORMAT: u32 = 1;

/// A data directory that belongs to this process alone for as long as this value lives.
#[derive(Debug)]
pub(super) struct Identity {
    dir: PathBuf,
    record: Record,
    _lock: File,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    format: u32,
    uuid: ServerUuid,
    cluster_id: Option<ClusterId>,
    server_id: Option<ServerId>,
    /// The one that was admitted last.
    #[serde(default)]
    incarnation: Option<Incarnation>,
    /// The one that is to be admitted. It may have been, where the answer was lost.
    #[serde(default)]
    pending: Option<Incarnation>,
}

/// What a registration says of this data directory's past and future. All requests for one admission say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coming {
    pub(super) last: Option<Incarnation>,
    pub(super) next: Incarnation,
}

/// Why an admission could not be kept.
#[derive(Debug)]
pub(super) enum AdmitError {
    /// This data directory is not for the cluster that admitted it. Trying again mends nothing.
    Foreign(anyhow::Error),
    /// It could not be written.
    Disk(anyhow::Error),
}

impl Identity {
    /// Takes hold of a data directory, and makes it where there is none.
    ///
    /// # Errors
    /// When it belongs to a directory node, is in use, or cannot be read or written.
    pub(super) fn open(dir: &Path, clock: &SharedClock) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the data directory {}", dir.display()))?;
        local::close_folder(dir)?;
        if dir.join(DIRECTORY_IDENTITY).exists() {
            bail!(
                "{} is the data directory of a directory node: give the file server one of its own (`server.data_dir`)",
                dir.display()
            );
        }
        let lock = lock(dir)?;
        let record = match read(dir)? {
            Some(record) => record,
            None => {
                if dir.join("blobs").exists() {
                    bail!(
                        "{} holds blobs but no {IDENTITY}, so that it is not known whose they are: put the file back, \
                         or move the directory away and start with an empty one",
                        dir.display()
                    );
                }
                let uuid = ServerUuid(clock.random_u128());
                let record = Record {
                    format: FORMAT,
                    uuid,
                    cluster_id: None,
                    server_id: None,
                    incarnation: None,
                    pending: None,
                };
                write(dir, &record)?;
                record
            }
        };
        Ok(Self { dir: dir.to_owned(), record, _lock: lock })
    }

    pub(super) const fn uuid(&self) -> ServerUuid {
        self.record.uuid
    }

    /// The server's id and its cluster, once it was admitted.
    pub(super) fn bound(&self) -> Option<(ClusterId, ServerId)> {
        Some((self.record.cluster_id?, self.record.server_id?))
    }

    /// A coming with a fresh incarnation, which is on the disk before anybody is told of it. One that was begun and not
    /// seen to end, by this process or the one before, is gone on with: the directory may have admitted it, and knows the
    /// same request when it comes again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn begin_coming(&mut self, clock: &SharedClock) -> anyhow::Result<Coming> {
        let next = match self.record.pending {
            Some(pending) => pending,
            None => {
                let next = Incarnation(clock.random_u128());
                self.save(Record { pending: Some(next), ..self.record.clone() })?;
                next
            }
        };
        Ok(Coming { last: self.record.incarnation, next })
    }

    /// Keeps that `next` was admitted, and at the first time binds the directory to the cluster, for good.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub(super) fn admit(
        &mut self,
        cluster_id: ClusterId,
        server_id: ServerId,
        next: Incarnation,
    ) -> Result<(), AdmitError> {
        self.check_bound(cluster_id, server_id).map_err(AdmitError::Foreign)?;
        if self.record.pending != Some(next) {
            // Two nodes admitted the same coming, and this is the later of the two.
            return Ok(());
        }
        let record = Record {
            cluster_id: Some(cluster_id),
            server_id: Some(server_id),
            incarnation: Some(next),
            pending: None,
            ..self.record.clone()
        };
        self.save(record).map_err(AdmitError::Disk)
    }

    fn check_bound(&self, cluster_id: ClusterId, server_id: ServerId) -> anyhow::Result<()> {
        match self.bound() {
            Some((own, _)) if own != cluster_id => bail!(
                "the data directory {} belongs to cluster {own}, but the directory nodes are those of cluster \
                 {cluster_id}: set `cluster.directory` to the nodes of its own cluster, or start with an empty \
                 data directory",
                self.dir.display()
            ),
            Some((_, own)) if own != server_id => bail!(
                "the data directory {} is that of file server {own}, but the directory knows it as {server_id}: \
                 the directory has lost its state. Put this data directory aside and start with an empty one. A backup \
                 is restored into a new cluster with empty data directories, also of its file servers",
                self.dir.display()
            ),
            _ => Ok(()),
        }
    }

    fn save(&mut self, record: Record) -> anyhow::Result<()> {
        write(&self.dir, &record)?;
        self.record = record;
        Ok(())
    }
}

fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join(LOCK);
    let file = local::private()
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}: check who owns the data directory", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "the data directory {} is in use by another file server: stop that one, or give this one a directory of \
             its own (`server.data_dir`)",
            dir.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}: use a local disk", path.display()))
        }
    }
}

fn read(dir: &Path) -> anyhow::Result<Option<Record>> {
    let path = dir.join(IDENTITY);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let record: Record = serde_json::from_slice(&text).with_context(|| {
        format!("{} is damaged: restore it from a backup; without it the blobs belong to nobody", path.display())
    })?;
    if record.format != FORMAT {
        bail!("{} was written by a newer release (format {}): start that one", path.display(), record.format);
    }
    Ok(Some(record))
}

fn write(dir: &Path, record: &Record) -> anyhow::Result<()> {
    let path = dir.join(IDENTITY);
    let temporary = dir.join("server.json.tmp");
    let save = || -> std::io::Result<()> {
        let mut file = local::private().create(true).truncate(true).open(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(record)?)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(dir)?.sync_all()
    };
    save().with_context(|| format!("cannot write {}", path.display()))
}

//! Where the scrubber is, in a file of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::BlobId;
use crate::local;

const FILE: &str = "scrub.json";
/// Not more often is the file written in the middle of a pass.
const EVERY: Duration = Duration::from_secs(60);

/// Times are milliseconds since the Unix epoch by this machine's wall clock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Of the last pass, whether or not it is under way.
    pub(super) begun_wall_ms: Option<u64>,
    /// Of the last pass that was done.
    pub(super) completed_wall_ms: Option<u64>,
    pub(super) pass: Option<Pass>,
}

/// A pass that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pass {
    pub(super) begun_wall_ms: u64,
    /// Whether somebody asked for it.
    pub(super) demanded: bool,
    /// The last blob that was looked at.
    pub(super) after: Option<BlobId>,
    pub(super) blobs: u64,
    pub(super) bytes: u64,
    pub(super) damaged: u64,
}

impl Progress {
    /// Begins a pass at the first blob, in place of one that may be under way.
    pub(super) fn begin(&mut self, now_wall_ms: u64, demanded: bool) {
        self.begun_wall_ms = Some(now_wall_ms);
        self.pass = Some(Pass { begun_wall_ms: now_wall_ms, demanded, after: None, blobs: 0, bytes: 0, damaged: 0 });
    }

    pub(super) fn seen(&mut self, blob_id: BlobId, bytes: u64, damaged: u64) {
        if let Some(pass) = &mut self.pass {
            pass.after = Some(blob_id);
            pass.blobs += 1;
            pass.bytes += bytes;
            pass.damaged += damaged;
        }
    }

    pub(super) fn finish(&mut self, now_wall_ms: u64) -> Option<Pass> {
        self.completed_wall_ms = Some(now_wall_ms);
        self.pass.take()
    }
}

#[derive(Clone, Debug)]
pub(super) struct ProgressFile {
    path: PathBuf,
    temporary: PathBuf,
    saved: Instant,
}

impl ProgressFile {
    /// A file that is not there, or not what was written, is a scrubber's that has not begun.
    pub(super) fn open(data_dir: &Path) -> (Self, Progress) {
        let path = data_dir.join(FILE);
        let progress = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let temporary = data_dir.join(format!("{FILE}.tmp"));
        (Self { path, temporary, saved: Instant::now() }, progress.unwrap_or_default())
    }

    pub(super) fn is_due(&self) -> bool {
        self.saved.elapsed() >= EVERY
    }

    pub(super) fn was_saved(&mut self) {
        self.saved = Instant::now();
    }

    /// Not synced: what a power cut takes is read once more.
    pub(super) fn write(&self, progress: &Progress) -> std::io::Result<()> {
        let mut file = local::private().create(true).truncate(true).open(&self.temporary)?;
        file.write_all(&serde_json::to_vec(progress)?)?;
        std::fs::rename(&self.temporary, &self.path)
    }
}

//! Where things are on the disk. A path comes from ids alone; nothing that a user names ever reaches it.
//!
//! ```text
//! blobs/ab/cd/abcd….          the bytes, as they are          (32 hexadecimal digits: the blob id)
//! blobs/ab/cd/abcd….sum       the sidecar: checksums and the copy's record
//! tmp/BLOB.COPY.NONCE.data    the same two while they are being written
//! tmp/BLOB.COPY.NONCE.sum
//! ```
//!
//! Two levels of 256 keep a directory at about 150 blobs where a server has ten million.

use std::path::{Path, PathBuf};

use crate::domain::{BlobId, CopyId};

const SIDECAR_SUFFIX: &str = ".sum";
const DATA_SUFFIX: &str = ".data";

#[derive(Debug)]
pub(super) struct Layout {
    pub(super) blobs: PathBuf,
    pub(super) tmp: PathBuf,
}

/// Which of the two files of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Data,
    Sidecar,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self { blobs: root.join("blobs"), tmp: root.join("tmp") }
    }

    pub(super) fn shard(&self, shard: u8) -> PathBuf {
        self.blobs.join(format!("{shard:02x}"))
    }

    pub(super) fn leaf(&self, shard: u8, leaf: u8) -> PathBuf {
        self.shard(shard).join(format!("{leaf:02x}"))
    }

    pub(super) fn data(&self, blob_id: BlobId) -> PathBuf {
        let (shard, leaf) = position(blob_id);
        self.leaf(shard, leaf).join(blob_id.to_string())
    }

    pub(super) fn sidecar(&self, blob_id: BlobId) -> PathBuf {
        let (shard, leaf) = position(blob_id);
        self.leaf(shard, leaf).join(format!("{blob_id}{SIDECAR_SUFFIX}"))
    }

    pub(super) fn temporary(&self, blob_id: BlobId, copy_id: CopyId, nonce: u64, part: Part) -> PathBuf {
        let suffix = match part {
            Part::Data => DATA_SUFFIX,
            Part::Sidecar => SIDECAR_SUFFIX,
        };
        self.tmp.join(format!("{blob_id}.{copy_id}.{nonce:016x}{suffix}"))
    }
}

/// The two directories of a blob: the first two bytes of its id.
pub(super) fn position(blob_id: BlobId) -> (u8, u8) {
    let [shard, leaf, ..] = blob_id.0.to_be_bytes();
    (shard, leaf)
}

/// What a file in a leaf directory is.
pub(super) fn parse_stored(name: &str) -> Option<(BlobId, Part)> {
    match name.strip_suffix(SIDECAR_SUFFIX) {
        Some(id) => Some((BlobId::parse(id)?, Part::Sidecar)),
        None => Some((BlobId::parse(name)?, Part::Data)),
    }
}

/// What a file in `tmp/` is.
pub(super) fn parse_temporary(name: &str) -> Option<(BlobId, Part)> {
    let (rest, part) = match name.strip_suffix(SIDECAR_SUFFIX) {
        Some(rest) => (rest, Part::Sidecar),
        None => (name.strip_suffix(DATA_SUFFIX)?, Part::Data),
    };
    Some((BlobId::parse(rest.split('.').next()?)?, part))
}

//! Backups: the form of an index, and the folder that indexes and blobs lie in. A directory node writes indexes, the
//! command line fetches, checks and restores them.
//!
//! ```text
//! DIR/backup.json              of which cluster
//! DIR/indexes/<log index>.idx  all rows of the state machine as of that log entry; see `format`
//! DIR/latest                   the name of the newest one
//! DIR/blobs/ab/<blob_id>       the bytes of every blob that an index names
//! DIR/tmp/                     what is being written; emptied by the next backup
//! ```
//!
//! An index gets its name last, when every blob that it names is there and on the disk. So a backup that breaks off
//! leaves the one before it as it was, and the next one goes on with the blobs that it had fetched: blobs never change,
//! and one of the right name and size is the right one until its digest says otherwise.

mod folder;
mod format;
mod index;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

pub use folder::{Fetched, Folder, Swept};
pub use format::{Head, write_index};
pub use index::Index;
pub use verify::{FileFault, MAX_NAMED, Named, Seen, Verified, file_sha256, name_faults, verify_index};
pub use walk::{NamedContent, NamedExtent, contents, extents};

use anyhow::Context;

/// What to do about a damaged backup: said wherever one is found.
pub const ADVICE: &str = "while the cluster lives, back up again with `ringmaster backup --check`, after deleting the file if \
     it is an index; if it is gone, restore from another copy of this folder, or an older backup (`--index N`, see \
     `ringmaster verify`), or all but the damaged files (`--without-damaged`)";

fn damaged(file: &std::path::Path, what: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{} is damaged ({what}): {ADVICE}", file.display())
}

/// Makes the names in a directory durable.
fn sync_dir(dir: &std::path::Path) -> anyhow::Result<()> {
    std::fs::File::open(dir)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot sync the directory {}", dir.display()))
}

//! What backup and restore ask.

use crate::domain::rows::{FIRST_FILE_ID, Restore, Server};
use crate::domain::tables::{self, Counter};
use crate::domain::{BlobId, Fault, FileId, ReadStore};

/// What everybody is told until a restore has ended.
pub const RESTORING: &str =
    "the cluster is being restored from a backup and serves nobody yet: try again when `ringmaster restore` has ended";

/// What the cluster was, or is being, restored from.
///
/// # Errors
/// When the storage fails.
pub fn restore(store: &dyn ReadStore) -> Result<Option<Restore>, Fault> {
    tables::restore(store)
}

/// # Errors
/// When the storage fails.
pub fn is_restoring(store: &dyn ReadStore) -> Result<bool, Fault> {
    Ok(tables::restore(store)?.is_some_and(|restore| !restore.done))
}

/// Whether nobody ever had an account.
///
/// # Errors
/// When the storage fails.
pub fn is_unused(store: &dyn ReadStore) -> Result<bool, Fault> {
    Ok(Counter::User.peek(store)? == 1 && Counter::File.peek(store)? == FIRST_FILE_ID)
}

/// Those of `files` that have no entry.
///
/// # Errors
/// When the storage fails.
pub fn missing_files(store: &dyn ReadStore, files: &[FileId]) -> Result<Vec<FileId>, Fault> {
    let mut missing = Vec::new();
    for id in files {
        if tables::entry(store, *id)?.is_none() {
            missing.push(*id);
        }
    }
    Ok(missing)
}

/// The servers that may have bytes of a blob: first those where a record names it, then those where it is garbage that
/// was not deleted yet.
///
/// # Errors
/// When the storage fails.
pub fn holders(store: &dyn ReadStore, blob: BlobId) -> Result<Vec<Server>, Fault> {
    let (mut named, mut listed) = (Vec::new(), Vec::new());
    for server in tables::servers(store)? {
        let id = server.server_id;
        if tables::placement(store, id, blob)?.is_some() {
            named.push(server);
        } else if !tables::garbage_of(store, id, blob, 1)?.is_empty() {
            listed.push(server);
        }
    }
    named.append(&mut listed);
    Ok(named)
}

/// Nothing before bootstrap.
///
/// # Errors
/// When the storage fails.
pub fn schema_version(store: &dyn ReadStore) -> Result<Option<u64>, Fault> {
    tables::schema_version(store)
}

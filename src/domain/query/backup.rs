//! What backup and restore ask.

use crate::domain::path::MAX_COMPONENTS;
use crate::domain::rows::{BIN, ContentState, DOOMED, NO_PARENT, Restore, Server};
use crate::domain::{BlobId, ContentId, Fault, FileId, ReadStore, Schema, rules, tables};

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
    rules::is_unused(store)
}

/// Those of `contents` that are not there.
///
/// # Errors
/// When the storage fails.
pub fn missing_contents(store: &dyn ReadStore, contents: &[ContentId]) -> Result<Vec<ContentId>, Fault> {
    let mut missing = Vec::new();
    for id in contents {
        let there = tables::content(store, *id)?.is_some_and(|content| content.state == ContentState::Sealed);
        if !there {
            missing.push(*id);
        }
    }
    Ok(missing)
}

/// Where a file is, as people write it: `OWNER:/PATH`. For people alone: what cannot be told, as where an invariant is
/// broken, is a `?`.
///
/// # Errors
/// When the storage fails.
pub fn full_path(store: &dyn ReadStore, file: FileId) -> Result<String, Fault> {
    let Some(entry) = tables::entry(store, file)? else { return Ok("?".to_owned()) };
    let owner = match tables::user(store, entry.owner)? {
        Some(user) => user.username,
        None => "?".to_owned(),
    };
    let (mut names, mut parent) = (vec![entry.name], entry.parent);
    while parent != NO_PARENT {
        if parent == DOOMED || parent == BIN {
            // Its own name there is a number, and its path is nobody's any more.
            names.pop();
            names.push("(deleted)".to_owned());
            break;
        }
        let above = if names.len() <= MAX_COMPONENTS { tables::entry(store, parent)? } else { None };
        let Some(above) = above else {
            names.push("?".to_owned());
            break;
        };
        if above.parent != NO_PARENT {
            names.push(above.name);
        }
        parent = above.parent;
    }
    names.reverse();
    Ok(format!("{owner}:/{}", names.join("/")))
}

/// Whether a record names a blob.
///
/// # Errors
/// When the storage fails.
pub fn is_named(store: &dyn ReadStore, blob: BlobId) -> Result<bool, Fault> {
    for server in tables::servers(store)? {
        if tables::placement(store, server.server_id, blob)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
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
pub fn schema(store: &dyn ReadStore) -> Result<Option<Schema>, Fault> {
    tables::schema(store)
}

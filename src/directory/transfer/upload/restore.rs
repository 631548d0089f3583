//! What happens to copies after the body: missing ones are made from good ones, unwanted ones are deleted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};

use super::Uploaded;
use crate::client::blobs::{BlobError, Blobs, CopyOrder, ServerAddress, StoredCopy};
use crate::domain::{BlobId, CopyId};

/// A copying has so long, whatever the size…
const BASE: Duration = Duration::from_secs(10);
/// …and a second more for each of so many bytes: what a slow disk writes and reads back…
const BYTES_PER_SECOND: u64 = 20 * 1024 * 1024;
/// …but no longer than this, because the client waits, and receipts grow old. The copy is then owed, and the
/// replication job makes it.
const LONGEST: Duration = Duration::from_secs(300);
/// For how long a deletion is tried.
const DELETE: Duration = Duration::from_secs(10);

/// What became of the copies that were missing.
#[derive(Debug, Default)]
pub struct Restored {
    /// Those that were made, in the order of the candidates.
    pub copies: Vec<StoredCopy>,
    /// Why the others were not. Each names the server that it says something about.
    pub failures: Vec<BlobError>,
}

/// Makes up to `wanted` more copies of what was uploaded, from server to server, on the first of `candidates` that can
/// take them. Fewer than wanted is no error here: it is the caller's to judge. The caller also sees to it that no
/// candidate holds a copy already.
pub async fn restore_copies(
    blobs: &Arc<dyn Blobs>,
    uploaded: &Uploaded,
    candidates: Vec<(ServerAddress, CopyId)>,
    wanted: usize,
) -> Restored {
    let limit = (BASE + Duration::from_secs(uploaded.size / BYTES_PER_SECOND)).min(LONGEST);
    let deadline = Instant::now() + limit;
    let mut candidates = candidates.into_iter();
    let mut sources = uploaded.servers.iter().cycle();
    let mut restored = Restored::default();
    // Each round asks as many servers as copies are still missing, and all its copyings run at once.
    while restored.copies.len() < wanted {
        let round: Vec<_> = candidates.by_ref().take(wanted - restored.copies.len()).zip(sources.by_ref()).collect();
        if round.is_empty() || Instant::now() >= deadline {
            break;
        }
        let copyings = round.into_iter().map(async |((to, copy_id), source)| {
            let order = CopyOrder {
                blob_id: uploaded.blob_id,
                copy_id,
                source: source.clone(),
                size: uploaded.size,
                sha256: uploaded.sha256,
                bytes_per_second: None,
                replaces: Vec::new(),
            };
            let (server_id, source_id, blob_id) = (to.server_id, source.server_id, uploaded.blob_id);
            let (error, failure) = match timeout_at(deadline, copy(blobs, &to, order)).await {
                Ok(Ok(copy)) if agrees(uploaded, &to, copy_id, &copy) => return Ok(copy),
                Ok(Ok(copy)) => (format!("its receipt does not agree: {copy:?}"), None),
                Ok(Err(error)) => (error.to_string(), Some(error)),
                Err(_) => ("it took too long".to_owned(), None),
            };
            tracing::warn!(%server_id, %source_id, %blob_id, error, "a missing copy could not be made");
            Err(failure)
        });
        for outcome in join_all(copyings).await {
            match outcome {
                Ok(copy) => restored.copies.push(copy),
                Err(failure) => restored.failures.extend(failure),
            }
        }
    }
    restored
}

/// A copy of this upload may be there whose server was given up. It gives way: whoever gave it up may yet delete it
/// under its id.
async fn copy(blobs: &Arc<dyn Blobs>, to: &ServerAddress, mut order: CopyOrder) -> Result<StoredCopy, BlobError> {
    match blobs.copy(to, order.clone()).await {
        Err(refused @ BlobError::Refused { .. }) => match blobs.head(to, order.blob_id).await {
            Ok(there) => {
                order.replaces.push(there.copy_id);
                blobs.copy(to, order).await
            }
            Err(_) => Err(refused),
        },
        answer => answer,
    }
}

fn agrees(uploaded: &Uploaded, to: &ServerAddress, copy_id: CopyId, copy: &StoredCopy) -> bool {
    (copy.server_id, copy.epoch, copy.copy_id, copy.size, copy.sha256)
        == (to.server_id, to.epoch, copy_id, uploaded.size, uploaded.sha256)
}

/// Deletes copies that nothing will ever name, best effort: what cannot be reached is found by the server's inventory.
///
/// Only for copies that no command named, or whose command was rejected by an applied entry. A commit whose outcome is
/// unknown may yet be applied, and its copies must stay.
pub async fn discard(blobs: &Arc<dyn Blobs>, blob_id: BlobId, copies: Vec<(ServerAddress, CopyId)>) {
    let deletions = copies.into_iter().map(async |(at, copy_id)| {
        let outcome = timeout(DELETE, blobs.delete(&at, blob_id, copy_id)).await;
        if !matches!(outcome, Ok(Ok(()) | Err(BlobError::Missing { .. }))) {
            tracing::debug!(server_id = %at.server_id, %blob_id, "an unwanted copy is left to the inventory");
        }
    });
    join_all(deletions).await;
}

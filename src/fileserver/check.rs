//! Reading a copy only to see whether it is good.

use std::sync::Arc;

use super::pace::Pace;
use super::store::{CopyRecord, Store, StoreError};
use super::transfer::{IntakeError, blocking};
use crate::domain::{BlobId, CopyId};

/// Reads every chunk of a copy, as the disk has it, against its checksum: the copy `wanted`, or whichever is there.
///
/// Each block of about a mebibyte is one turn on a blocking thread; in between, whoever reads for a user comes first, and
/// a caller that hangs up ends the work. `pace` is spent block by block where there is one.
///
/// # Errors
/// `Missing` where no copy is there, or another one, at the beginning or the end; `Damaged`; `Io`.
pub(super) async fn check(
    store: &Arc<Store>,
    blob_id: BlobId,
    wanted: Option<CopyId>,
    mut pace: Option<&mut Pace>,
) -> Result<CopyRecord, IntakeError> {
    let opened = {
        let store = Arc::clone(store);
        blocking(move || store.read(blob_id)).await??
    };
    let record = opened.record();
    if wanted.is_some_and(|wanted| wanted != record.copy_id) {
        return Err(StoreError::Missing.into());
    }
    let mut reader = opened.past_cache();
    while !reader.is_done() {
        let (block, next) = blocking(move || (reader.next_block(), reader)).await?;
        reader = next;
        if let Some(failure) = block.failure {
            return Err(failure.into());
        }
        match &mut pace {
            Some(pace) => pace.spend(block.bytes.len() as u64).await,
            None => tokio::task::yield_now().await,
        }
    }
    // It can be read to its end even if it was deleted meanwhile; but then nobody may count on it.
    let store = Arc::clone(store);
    let now = blocking(move || store.head(blob_id)).await??;
    if now.copy_id == record.copy_id { Ok(now) } else { Err(StoreError::Missing.into()) }
}

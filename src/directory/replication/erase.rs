//! Deleting the bytes that garbage rows list.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use crate::client::blobs::BlobError;
use crate::consensus::QueryKind;
use crate::directory::lookout::address;
use crate::directory::node::App;
use crate::domain::query;
use crate::domain::terms::MAX_COPIES_LISTED;
use crate::domain::{Command, CopyAt, Proposal, command};

/// Deletions under way at once.
const AT_ONCE: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes the copies and enters which are gone. A copy whose server does not answer is left for the next round.
pub(super) async fn erase(node: App, copies: Vec<CopyAt>) -> anyhow::Result<()> {
    let servers = node.handle().read_local_as(QueryKind::Job, |store| query::servers(store)).await?;
    let deletions = copies.into_iter().filter_map(|copy| {
        let server = servers.iter().find(|server| server.server_id == copy.server_id)?;
        // It would refuse this as well, a million times where it holds so many. The rows wait.
        if node.servers.refusal(server.server_id).is_some() {
            return None;
        }
        let call = node.blobs.delete(&address(server), copy.blob_id, copy.copy_id);
        Some(async move { (copy, tokio::time::timeout(PATIENCE, call).await) })
    });
    let mut answers = stream::iter(deletions.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
    let mut gone = Vec::new();
    while let Some((copy, answer)) = answers.next().await {
        match answer {
            Ok(Ok(()) | Err(BlobError::Missing { .. })) => gone.push(copy),
            Ok(Err(error)) => {
                node.note_blob_error(&error);
                tracing::debug!(server_id = %copy.server_id, blob_id = %copy.blob_id, %error, "a copy is not deleted yet");
            }
            Err(_) => node.servers.suspect(copy.server_id, "it did not answer a deletion"),
        }
    }
    for batch in gone.chunks(MAX_COPIES_LISTED) {
        let command = Command::Deleted(command::Deleted { copies: batch.to_vec() });
        if let Err(rejection) = node.handle().propose(Proposal { operation: None, command }).await? {
            anyhow::bail!("the deletions were not entered: {}", rejection.detail);
        }
        node.progress.erased.inc_by(batch.len() as u64);
    }
    Ok(())
}

//! Copies that turn out to be damaged or gone. What somebody met is looked at once more, and only then reported: a
//! record stops counting a copy by it, and has another one made.

use std::sync::Arc;

use super::error::ApiResult;
use super::node::{App, Node};
use crate::client::blobs::{BlobError, ServerAddress};
use crate::domain::terms::MAX_COPIES_LISTED;
use crate::domain::{Command, CopyAt, Outcome, Proposal, command};

/// How a copy showed that something is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Corrupt,
    Missing,
}

impl Node {
    /// A read met `error` at a copy that counts: has it looked at in the background, and reported if it is as bad as that.
    pub(crate) fn doubt(self: &Arc<Self>, at: ServerAddress, copy: CopyAt, size: u64, error: &BlobError) {
        let sign = match error {
            BlobError::Corrupt { .. } => Sign::Corrupt,
            BlobError::Missing { .. } => Sign::Missing,
            _ => return,
        };
        let Some(turn) = self.doubts.turn(copy) else { return };
        let node: App = self.clone();
        tokio::spawn(async move {
            let _turn = turn;
            let mut stopped = node.handle().stopped();
            let look = async {
                if node.confirms(sign, &at, copy, size).await
                    && let Err(error) = node.report_copies(&[copy]).await
                {
                    let cause = error.detail;
                    tracing::warn!(server_id = %copy.server_id, blob_id = %copy.blob_id, cause, "a damaged copy could not be reported: the next read or scrub will");
                }
            };
            tokio::select! {
                () = look => {}
                // Not held up by a disk that reads a large file.
                _ = stopped.changed() => {}
            }
        });
    }

    async fn confirms(&self, sign: Sign, at: &ServerAddress, copy: CopyAt, size: u64) -> bool {
        match sign {
            Sign::Missing => self.lacks(at, copy).await,
            Sign::Corrupt => {
                let verified = self.blobs.verify(at, copy.blob_id, copy.copy_id, size).await;
                matches!(verified, Err(BlobError::Corrupt { .. } | BlobError::Missing { .. }))
            }
        }
    }

    /// Whether the server says that it has no such copy, or no good one. One that does not answer says nothing.
    pub(crate) async fn lacks(&self, at: &ServerAddress, copy: CopyAt) -> bool {
        match self.blobs.head(at, copy.blob_id).await {
            Ok(found) => found.copy_id != copy.copy_id,
            Err(BlobError::Missing { .. } | BlobError::Corrupt { .. }) => true,
            Err(_) => false,
        }
    }

    /// Has copies stop counting, and their files be owed a repair; how many of them are new as that.
    pub(crate) async fn report_copies(&self, copies: &[CopyAt]) -> ApiResult<u32> {
        let mut rows = 0;
        for batch in copies.chunks(MAX_COPIES_LISTED) {
            let reported = self.propose_rows(Command::Report(command::Report { copies: batch.to_vec() })).await?;
            self.counters.damaged_copies.inc_by(u64::from(reported));
            if reported > 0 {
                let (server_id, first) = (batch[0].server_id, batch[0].blob_id);
                tracing::warn!(%server_id, copies = reported, %first, "copies are damaged or missing: their files are owed a repair");
            }
            rows += reported;
        }
        Ok(rows)
    }

    /// Lists copies that no record names as garbage; how many of them are new as that.
    pub(crate) async fn condemn_copies(&self, copies: &[CopyAt]) -> ApiResult<u32> {
        let mut rows = 0;
        for batch in copies.chunks(MAX_COPIES_LISTED) {
            let condemned = self.propose_rows(Command::Condemn(command::Condemn { copies: batch.to_vec() })).await?;
            self.counters.orphans.inc_by(u64::from(condemned));
            if condemned > 0 {
                let (server_id, first) = (batch[0].server_id, batch[0].blob_id);
                tracing::info!(%server_id, copies = condemned, %first, "copies that no file names will be deleted");
            }
            rows += condemned;
        }
        Ok(rows)
    }

    async fn propose_rows(&self, command: Command) -> ApiResult<u32> {
        match self.propose(Proposal { operation: None, command }).await? {
            Outcome::Progress { rows, .. } => Ok(rows),
            _ => Ok(0),
        }
    }
}

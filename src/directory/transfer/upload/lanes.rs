//! All targets of an upload together: what one fails at, the others go on with.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use super::lane::{Lane, SendError, unreachable_server};
use super::{UploadError, Uploaded};
use crate::client::blobs::{BlobError, Blobs, PutCopy, ServerAddress, StoredCopy};
use crate::domain::{BlobId, CopyId, ServerId, Sha256};

/// A target that takes nothing for so long while its buffer is full is dropped.
const STALL: Duration = Duration::from_secs(3);
/// The last target left is given so much more: dropping it gains nothing but an earlier error, and where all stall at
/// once, the cause is often one disk or one network that recovers.
const LAST_STALL: Duration = Duration::from_secs(7);
/// A target that owes its receipt for so long after the end of the body is dropped.
const RECEIPT: Duration = Duration::from_secs(10);

pub(super) struct Lanes {
    blob_id: BlobId,
    /// Those that are left, in the order of the targets. Never empty between calls.
    open: Vec<Lane>,
    lost: Vec<(ServerId, BlobError)>,
}

impl Lanes {
    pub(super) fn open(
        blobs: &Arc<dyn Blobs>,
        targets: Vec<(ServerAddress, CopyId)>,
        blob_id: BlobId,
        length: Option<u64>,
        max_bytes: u64,
    ) -> Result<Self, UploadError> {
        let open = targets
            .into_iter()
            .map(|(to, copy_id)| Lane::open(blobs, to, PutCopy { blob_id, copy_id, length, max_bytes }))
            .collect();
        let mut lanes = Self { blob_id, open, lost: Vec::new() };
        lanes.check()?;
        Ok(lanes)
    }

    /// Gives every target the next piece. Waits for those whose buffer is full, and drops those that fail.
    pub(super) async fn send(&mut self, piece: Bytes) -> Result<(), UploadError> {
        let behind: Vec<_> = self.open.iter_mut().filter(|lane| !lane.try_send(&piece)).collect();
        if behind.is_empty() {
            return Ok(());
        }
        let sent = send_all(behind, &piece, false).await;
        self.settle(sent, piece, false).await
    }

    /// Gives every target the last piece of the body, which may be empty.
    pub(super) async fn finish(&mut self, piece: Bytes) -> Result<(), UploadError> {
        let sent = send_all(self.open.iter_mut().collect(), &piece, true).await;
        self.settle(sent, piece, true).await
    }

    /// Drops the targets that did not take the piece; if none took it, one that may yet is given more time.
    async fn settle(&mut self, mut failed: Vec<Failed>, piece: Bytes, last: bool) -> Result<(), UploadError> {
        let stalled = failed.iter().position(|(_, error)| matches!(error, SendError::Stalled));
        let spared = stalled.filter(|_| failed.len() == self.open.len()).map(|at| failed.remove(at).0);
        for (server_id, error) in failed {
            self.lose(server_id, error);
        }
        if let (Some(server_id), Some(lane)) = (spared, self.open.first_mut())
            && let Err(error) = lane.send(piece, last, LAST_STALL).await
        {
            self.lose(server_id, error);
        }
        self.check()
    }

    fn lose(&mut self, server_id: ServerId, error: SendError) {
        self.open.retain(|lane| lane.to.server_id != server_id);
        let error = match error {
            SendError::Failed(error) => error,
            SendError::Stalled => unreachable_server(server_id, "it took nothing while its buffer was full"),
        };
        tracing::warn!(%server_id, blob_id = %self.blob_id, %error, "a file server was dropped from an upload");
        self.lost.push((server_id, error));
    }

    fn check(&mut self) -> Result<(), UploadError> {
        if !self.open.is_empty() {
            return Ok(());
        }
        let errors: Vec<_> = std::mem::take(&mut self.lost).into_iter().map(|(_, error)| error).collect();
        let full = !errors.is_empty() && errors.iter().all(|error| matches!(error, BlobError::Full { .. }));
        Err(if full { UploadError::Full } else { UploadError::NoServerLeft(errors) })
    }

    /// Waits for the receipts, and holds each against what was sent.
    pub(super) async fn receipts(mut self, size: u64, sha256: Sha256) -> Result<Uploaded, UploadError> {
        let answers = join_all(self.open.iter_mut().map(|lane| lane.receipt(RECEIPT))).await;
        let mut copies = Vec::with_capacity(answers.len());
        for (at, answer) in answers.into_iter().enumerate().rev() {
            let lane = &self.open[at];
            match answer {
                Ok(copy) if agrees(lane, &copy, size, sha256) => copies.push(copy),
                Ok(copy) => {
                    return Err(UploadError::Disagree(format!(
                        "sent {size} bytes with SHA-256 {sha256} as copy {} to file server {} of epoch {}, got {copy:?}",
                        lane.copy_id, lane.to.server_id, lane.to.epoch
                    )));
                }
                Err(error) => self.lose(lane.to.server_id, SendError::Failed(error)),
            }
        }
        self.check()?;
        copies.reverse();
        let (lost, causes) = self.lost.into_iter().map(|(server_id, error)| (server_id, Arc::new(error))).unzip();
        Ok(Uploaded {
            blob_id: self.blob_id,
            size,
            sha256,
            copies,
            servers: self.open.into_iter().map(Lane::keep).collect(),
            lost,
            causes,
            whole: None,
        })
    }
}

type Failed = (ServerId, SendError);

/// Those that did not take the piece.
async fn send_all(lanes: Vec<&mut Lane>, piece: &Bytes, last: bool) -> Vec<Failed> {
    let sends = lanes
        .into_iter()
        .map(async |lane| lane.send(piece.clone(), last, STALL).await.err().map(|error| (lane.to.server_id, error)));
    join_all(sends).await.into_iter().flatten().collect()
}

fn agrees(lane: &Lane, copy: &StoredCopy, size: u64, sha256: Sha256) -> bool {
    (copy.server_id, copy.epoch, copy.copy_id, copy.size, copy.sha256)
        == (lane.to.server_id, lane.to.epoch, lane.copy_id, size, sha256)
}

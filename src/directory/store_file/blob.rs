//! One blob: places for it, its bytes onto their disks, and the log entry that names it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;

use super::errors::{servers_changed, upload_error};
use crate::client::blobs::{BlobError, ServerAddress, StoredCopy};
use crate::directory::error::ApiResult;
use crate::directory::lookout::address;
use crate::directory::node::{App, Node};
use crate::directory::placement::Placed;
use crate::directory::transfer::digest::HashState;
use crate::directory::transfer::replay::Replay;
use crate::directory::transfer::upload::{Upload, UploadError, discard, upload};
use crate::domain::query;
use crate::domain::terms::Receipt;
use crate::domain::{
    Answer, BlobId, ClusterTime, ContentId, CopyId, Outcome, Proposal, Rejection, RejectionKind, ServerId, Sha256,
};

/// How often a commit whose receipts were refused is mended and tried again, before the client is asked to.
const COMMIT_ATTEMPTS: u32 = 4;
/// What a write waits beyond `detection.dead_after` for the verdict on a file server that went away: a consultation
/// takes two seconds at the most, and may have to be repeated.
const VERDICT: Duration = Duration::from_secs(5);

/// The file servers that refused this write for want of room.
pub(super) type NoRoom = BTreeSet<ServerId>;

/// What is known of a run of bytes before it has come.
pub(crate) struct Order {
    pub(crate) length: Option<u64>,
    /// How many bytes may come, as far as that is known: it says where there is room for them.
    pub(crate) at_most: Option<u64>,
    pub(crate) max_bytes: u64,
    /// How many the file may have that it is a part of.
    pub(crate) limit: u64,
    /// What it must hash to, where the client said so.
    pub(crate) digest: Option<Sha256>,
    /// How far the hash of the whole has come, where it is a part of one.
    pub(crate) whole: Option<HashState>,
}

/// A run of bytes on the disks of file servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blob {
    pub(crate) blob_id: BlobId,
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

/// A blob that no log entry names yet.
pub(crate) struct Brought {
    pub(crate) blob: Blob,
    /// How far the hash of the whole has come with it.
    pub(crate) whole: Option<HashState>,
    copies: Vec<StoredCopy>,
    wanted: usize,
    no_room: NoRoom,
    placed: Placed,
}

/// Brings blobs in.
#[derive(Clone, Copy)]
pub(crate) struct BlobWriter<'a> {
    pub(crate) node: &'a App,
}

impl BlobWriter<'_> {
    /// Stores what `body` gives until its end. No log entry names it: it is to be committed, or discarded.
    pub(crate) async fn bring<S, E>(&self, order: Order, body: &mut S) -> ApiResult<Brought>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
        E: std::fmt::Display + Send,
    {
        let mut body = Replay::new(body);
        let mut failed: Vec<ServerId> = Vec::new();
        let (placed, targets, uploaded) = loop {
            let blob_id = BlobId(self.node.clock.random_u128());
            let placed = self.node.place(blob_id, order.at_most.unwrap_or(0), failed.clone()).await?;
            let targets = self.node.fresh_copies(&placed.targets);
            let attempt = Upload {
                blob_id,
                targets: targets.clone(),
                length: order.length,
                max_bytes: order.max_bytes,
                expected_sha256: order.digest,
                whole: order.whole.clone(),
            };
            match upload(&self.node.blobs, attempt, &mut body).await {
                Ok(uploaded) => break (placed, targets, uploaded),
                Err(error) => {
                    self.node.note_upload_failure(&error);
                    failed.extend(placed.targets.iter().map(|at| at.server_id));
                    let servers_fault = matches!(error, UploadError::NoServerLeft(_) | UploadError::Full);
                    if !(servers_fault && self.others_than(&failed).await && body.rewind()) {
                        return Err(match error {
                            UploadError::Full => self.node.no_room().await,
                            error => upload_error(error, order.limit),
                        });
                    }
                }
            }
        };
        let mut no_room = NoRoom::default();
        uploaded.causes.iter().for_each(|cause| self.note(cause, &mut no_room));
        let copies = self.whole(&uploaded, targets.len(), &mut no_room).await;
        let blob = Blob { blob_id: uploaded.blob_id, size: uploaded.size, sha256: uploaded.sha256 };
        Ok(Brought { blob, whole: uploaded.whole, copies, wanted: targets.len(), no_room, placed })
    }

    /// Whether there are servers that an upload can still be tried on. There are fewer with each attempt.
    async fn others_than(&self, failed: &[ServerId]) -> bool {
        let ring = self.node.handle().read_local(|store| query::ring(store)).await;
        ring.is_ok_and(|ring| {
            ring.servers.iter().any(|server| {
                let id = server.server_id;
                server.is_eligible() && !failed.contains(&id) && !self.node.servers.is_unfit(id)
            })
        })
    }

    /// One log entry names the blob. Where it finds that a receipt no longer holds, or that more copies can be made, the
    /// copies are mended, and the entry is proposed again under the same operation.
    pub(crate) async fn commit(
        &self,
        brought: Brought,
        proposal: impl Fn(&Blob, Vec<Receipt>) -> Proposal,
    ) -> ApiResult<Outcome> {
        let Brought { blob, mut copies, wanted, mut no_room, placed, .. } = brought;
        let mut received_at = placed.cluster_time;
        let until = Instant::now() + self.node.settings.dead_after + VERDICT;
        if copies.len() < wanted {
            // An entry with too few copies would be refused; no entry has named these yet, so they can be deleted.
            let given = copies.clone();
            let mended = self.mended(&blob, copies, &mut no_room, until).await;
            (copies, received_at) = mended.inspect_err(|_| self.node.discard_copies(blob.blob_id, given))?;
        }
        let mut last = String::new();
        for _ in 0..COMMIT_ATTEMPTS {
            let answer: Answer = self.node.handle().propose(proposal(&blob, receipts(&copies, received_at))).await?;
            match answer {
                Err(rejection) if rejection.kind == RejectionKind::StaleReceipt => {
                    last = rejection.detail;
                    (copies, received_at) = self.mended(&blob, copies, &mut no_room, until).await?;
                }
                Err(rejection) => {
                    self.discard_if_final(&blob, &copies, &rejection);
                    return Err(rejection.into());
                }
                Ok(outcome) => {
                    self.discard_if_repeated(&blob, &copies, &outcome);
                    return Ok(outcome);
                }
            }
        }
        Err(servers_changed().because(last))
    }

    /// Deletes what nothing named, nor ever will.
    pub(crate) fn discard(&self, brought: Brought) {
        self.node.discard_copies(brought.blob.blob_id, brought.copies);
    }

    /// The bytes of a change that was refused for good will never be named by a record: the operation's answer is
    /// stored, or the upload has gone on without them, so that no late repeat of this proposal can name them either. Best
    /// effort; what stays is found by inventory.
    ///
    /// The proposal may have been taken before, by an attempt whose answer was lost, and the upload may have gone on since: a
    /// repeat of a command without a name is refused then, though a record names the bytes. So the records are asked first.
    fn discard_if_final(&self, blob: &Blob, copies: &[StoredCopy], rejection: &Rejection) {
        if !rejection.kind.is_final() {
            return;
        }
        let (node, blob_id, copies) = (self.node.clone(), blob.blob_id, copies.to_vec());
        tokio::spawn(async move {
            let named = node.handle().read(move |store| query::is_named(store, blob_id)).await;
            if matches!(named, Ok(false)) {
                node.discard_copies(blob_id, copies);
            }
        });
    }

    /// The same, where the operation had taken effect before with the bytes of an earlier attempt.
    fn discard_if_repeated(&self, blob: &Blob, copies: &[StoredCopy], outcome: &Outcome) {
        let repeated = match outcome {
            Outcome::Stat(stat) => {
                let ours = ContentId::of(blob.blob_id);
                stat.content.as_ref().is_some_and(|stored| stored.content_id != ours)
            }
            Outcome::Progress { rows, .. } => *rows == 0,
            _ => false,
        };
        if repeated {
            self.node.discard_copies(blob.blob_id, copies.to_vec());
        }
    }
}

fn receipts(copies: &[StoredCopy], received_at: ClusterTime) -> Vec<Receipt> {
    let receipt = |copy: &StoredCopy| Receipt {
        server_id: copy.server_id,
        epoch: copy.epoch,
        copy_id: copy.copy_id,
        received_at,
    };
    copies.iter().map(receipt).collect()
}

impl Node {
    /// A fresh copy id for each target of one attempt.
    pub(crate) fn fresh_copies(&self, targets: &[ServerAddress]) -> Vec<(ServerAddress, CopyId)> {
        targets.iter().map(|address| (address.clone(), CopyId(self.clock.random_u128()))).collect()
    }

    /// Deletes copies that no record names nor ever will. Best effort; what stays is found by inventory.
    fn discard_copies(&self, blob_id: BlobId, copies: Vec<StoredCopy>) {
        let (blobs, handle) = (self.blobs.clone(), self.handle().clone());
        tokio::spawn(async move {
            let Ok(servers) = handle.read_local(|store| query::servers(store)).await else { return };
            let at = |copy: &StoredCopy| servers.iter().find(|server| server.server_id == copy.server_id).map(address);
            let found = copies.iter().filter_map(|copy| Some((at(copy)?, copy.copy_id))).collect();
            discard(&blobs, blob_id, found).await;
        });
    }

    fn note_upload_failure(&self, error: &UploadError) {
        if let UploadError::NoServerLeft(causes) = error {
            causes.iter().for_each(|cause| self.note_blob_error(cause));
        }
    }

    /// What a failed call says about its server: one that cannot be reached is suspect at once, and one whose disk refuses
    /// is passed by.
    pub(crate) fn note_blob_error(&self, error: &BlobError) {
        match error {
            BlobError::Unreachable { server_id, cause } => self.servers.suspect(*server_id, cause),
            BlobError::Unwritable { server_id, cause } => self.servers.refused(*server_id, cause),
            _ => {}
        }
    }
}

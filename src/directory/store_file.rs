//! The life of a write: places on file servers, bytes onto their disks, one log entry.
//!
//! ```text
//! placement (leader) → upload to all at once → copies that were lost on the way made anew → commit → answer
//!                                                         ↑                          │
//!                                                         └── receipts renewed ←─────┘ a server has changed
//! ```
//!
//! Nothing is visible before the commit, and nothing is acknowledged before it is applied. Where a server has gone away
//! and no other can take its copy, the commit waits until the server is back or is declared down: only then is a file
//! with fewer copies what the cluster can do at most.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::Stream;

use super::error::{ApiError, ApiResult};
use super::node::{App, Node};
use super::placement::Placed;
use super::transfer::replay::Replay;
use super::transfer::upload::{Upload, UploadError, discard, upload};
use crate::client::blobs::{BlobError, ServerAddress, StoredCopy};
use crate::domain::query;
use crate::domain::terms::{FileRef, LockProof, NewContent, Operation, PathRef, Precondition, Receipt};
use crate::domain::{
    Answer, BlobId, ClusterTime, Command, ContentId, CopyId, Outcome, Proposal, Rejection, RejectionKind, ServerId,
    Sha256, UserId, command,
};
use crate::protocol::capability::CapabilityError;
use crate::protocol::problem::Code;

mod copies;

/// How often a commit whose receipts were refused is mended and tried again, before the client is asked to.
const COMMIT_ATTEMPTS: u32 = 4;
/// What a write waits beyond `detection.dead_after` for the verdict on a file server that went away: a consultation
/// takes two seconds at the most, and may have to be repeated.
const VERDICT: Duration = Duration::from_secs(5);

/// The file servers that refused this write for want of room.
type NoRoom = BTreeSet<ServerId>;

/// What the bytes are to become.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    Write {
        at: PathRef,
    },
    Update {
        file: FileRef,
        precondition: Option<Precondition>,
        lock: Option<LockProof>,
    },
    /// A content of a backup: its row in the backup's index.
    Restore {
        backup: Sha256,
        content_id: ContentId,
        row: Vec<u8>,
    },
}

impl Purpose {
    /// The command that gives the file this content.
    pub(crate) fn command(&self, user: UserId, content: NewContent) -> Command {
        match self.clone() {
            Self::Write { at } => Command::Write(command::Write { user, at, content }),
            Self::Update { file, precondition, lock } => {
                Command::Update(command::Update { user, file, content, precondition, lock })
            }
            Self::Restore { backup, content_id, row } => {
                Command::RestoreContent(command::RestoreContent { backup, content_id, row, content })
            }
        }
    }
}

/// What is known of a body before it has come.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) length: Option<u64>,
    /// How many bytes may come, as far as that is known: no less than `length`. It says where there is room for them.
    pub(crate) at_most: Option<u64>,
    pub(crate) max_bytes: u64,
    pub(crate) content_type: String,
    /// What the whole must hash to, where the client said so.
    pub(crate) digest: Option<Sha256>,
}

/// One file on its way in.
pub(crate) struct StoreFile<'a> {
    pub(crate) node: &'a App,
    pub(crate) user: UserId,
    pub(crate) change: Purpose,
}

impl StoreFile<'_> {
    /// Stores the bytes of `body` and commits them as the operation that `name` gives for their size and digest; as none
    /// where the change takes effect once by itself.
    pub(crate) async fn run<S, E>(
        &self,
        incoming: Incoming,
        body: &mut S,
        name: impl Fn(u64, &Sha256) -> Option<Operation> + Send,
    ) -> ApiResult<Outcome>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
        E: std::fmt::Display + Send,
    {
        let mut body = Replay::new(body);
        let mut failed: Vec<ServerId> = Vec::new();
        let (blob_id, placed, targets, uploaded) = loop {
            let blob_id = BlobId(self.node.clock.random_u128());
            let placed = self.node.place(blob_id, incoming.at_most.unwrap_or(0), failed.clone()).await?;
            let targets = self.node.fresh_copies(&placed.targets);
            let order = Upload {
                blob_id,
                targets: targets.clone(),
                length: incoming.length,
                max_bytes: incoming.max_bytes,
                expected_sha256: incoming.digest,
            };
            match upload(&self.node.blobs, order, &mut body).await {
                Ok(uploaded) => break (blob_id, placed, targets, uploaded),
                Err(error) => {
                    self.node.note_upload_failure(&error);
                    failed.extend(placed.targets.iter().map(|at| at.server_id));
                    let servers_fault = matches!(error, UploadError::NoServerLeft(_) | UploadError::Full);
                    if !(servers_fault && self.others_than(&failed).await && body.rewind()) {
                        return Err(match error {
                            UploadError::Full => self.node.no_room().await,
                            error => upload_error(error, incoming.max_bytes),
                        });
                    }
                }
            }
        };
        let content = Content {
            blob_id,
            size: uploaded.size,
            sha256: uploaded.sha256,
            content_type: incoming.content_type.clone(),
        };
        let mut no_room = NoRoom::default();
        uploaded.causes.iter().for_each(|cause| self.note(cause, &mut no_room));
        let copies = self.whole(&uploaded, targets.len(), &mut no_room).await;
        let operation = name(uploaded.size, &uploaded.sha256);
        self.commit(operation, content, copies, targets.len(), no_room, &placed).await
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

    /// One log entry makes the bytes the file's content. Where it finds that a receipt no longer holds, or that more
    /// copies can be made, the copies are mended, and the entry is proposed again under the same operation.
    async fn commit(
        &self,
        operation: Option<Operation>,
        content: Content,
        mut copies: Vec<StoredCopy>,
        wanted: usize,
        mut no_room: NoRoom,
        placed: &Placed,
    ) -> ApiResult<Outcome> {
        let mut received_at = placed.cluster_time;
        let until = Instant::now() + self.node.settings.dead_after + VERDICT;
        if copies.len() < wanted {
            // An entry with too few copies would be refused; no entry has named these yet, so they can be deleted.
            let given = copies.clone();
            let mended = self.mended(&content, copies, &mut no_room, until).await;
            (copies, received_at) = mended.inspect_err(|_| self.node.discard_copies(content.blob_id, given))?;
        }
        let mut last = String::new();
        for _ in 0..COMMIT_ATTEMPTS {
            let answer = self.propose(operation.as_ref(), &content, &copies, received_at).await?;
            match answer {
                Err(rejection) if rejection.kind == RejectionKind::StaleReceipt => {
                    last = rejection.detail;
                    (copies, received_at) = self.mended(&content, copies, &mut no_room, until).await?;
                }
                Err(rejection) => {
                    self.discard(&content, &copies, &rejection);
                    return Err(rejection.into());
                }
                Ok(outcome) => {
                    self.discard_if_repeated(&content, &copies, &outcome);
                    return Ok(outcome);
                }
            }
        }
        Err(servers_changed().because(last))
    }

    async fn propose(
        &self,
        operation: Option<&Operation>,
        content: &Content,
        copies: &[StoredCopy],
        received_at: ClusterTime,
    ) -> ApiResult<Answer> {
        let receipt = |copy: &StoredCopy| Receipt {
            server_id: copy.server_id,
            epoch: copy.epoch,
            copy_id: copy.copy_id,
            received_at,
        };
        let content = NewContent {
            blob_id: content.blob_id,
            size: content.size,
            sha256: content.sha256,
            content_type: content.content_type.clone(),
            receipts: copies.iter().map(receipt).collect(),
        };
        let command = self.change.command(self.user, content);
        let proposal = Proposal { operation: operation.cloned(), command };
        Ok(self.node.handle().propose(proposal).await?)
    }

    /// The bytes of a change that was refused for good will never be named by a record: the operation's answer is
    /// stored, so that no late repeat of this proposal can name them either. Best effort; what stays is found by
    /// inventory.
    fn discard(&self, content: &Content, copies: &[StoredCopy], rejection: &Rejection) {
        if rejection.kind.is_final() {
            self.node.discard_copies(content.blob_id, copies.to_vec());
        }
    }

    /// The same, where the operation had taken effect before with the bytes of an earlier attempt.
    fn discard_if_repeated(&self, content: &Content, copies: &[StoredCopy], outcome: &Outcome) {
        let repeated = match outcome {
            Outcome::Stat(stat) => {
                let ours = ContentId::of(content.blob_id);
                stat.content.as_ref().is_some_and(|stored| stored.content_id != ours)
            }
            Outcome::Progress { rows, .. } => *rows == 0,
            _ => false,
        };
        if repeated {
            self.node.discard_copies(content.blob_id, copies.to_vec());
        }
    }
}

pub(super) struct Content {
    blob_id: BlobId,
    size: u64,
    sha256: Sha256,
    content_type: String,
}

fn servers_changed() -> ApiError {
    ApiError::new(
        Code::NoFileServer,
        "the file servers kept changing during the request, and nothing was stored: send it again",
    )
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
            let at = |copy: &StoredCopy| {
                servers.iter().find(|server| server.server_id == copy.server_id).map(super::lookout::address)
            };
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

pub(crate) fn too_large(max_bytes: u64) -> ApiError {
    ApiError::new(
        Code::TooLarge,
        format!(
            "the file is larger than this cluster takes ({max_bytes} bytes): split it, or have limits.max_file_bytes raised"
        ),
    )
}

pub(crate) fn upload_error(error: UploadError, max_bytes: u64) -> ApiError {
    match error {
        UploadError::ClientBroke(cause) => ApiError::invalid(
            "the body broke off or has another length than announced, and nothing was stored: send it again",
        )
        .because(cause),
        UploadError::TooLarge => too_large(max_bytes),
        UploadError::ChecksumMismatch => ApiError::new(
            Code::ChecksumMismatch,
            "the bytes that came do not have the digest that was announced, and nothing was stored: send them again",
        ),
        UploadError::Full => ApiError::new(Code::StorageFull, "the file servers have no room for the file: free some"),
        UploadError::NoServerLeft(causes) => {
            let expired = CapabilityError::Expired.to_string();
            let clock = |cause: &BlobError| matches!(cause, BlobError::Refused { cause, .. } if *cause == expired);
            let detail = if causes.iter().any(clock) {
                "the clocks of this node and of the file servers are too far apart, and nothing was stored: have them set (`ringmaster cluster status` and the logs name the wrong one), then send it again"
            } else if causes.iter().any(|cause| matches!(cause, BlobError::Unwritable { .. })) {
                "the disk of a file server that was to take the file takes no writes, and nothing was stored: send it again, and have the server looked at (`ringmaster ring status` says why)"
            } else {
                "every file server that was to take the file went away, and nothing was stored: send it again"
            };
            let causes: Vec<String> = causes.iter().map(ToString::to_string).collect();
            ApiError::new(Code::NoFileServer, detail).because(causes.join("; "))
        }
        UploadError::Disagree(cause) => ApiError::internal(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_that_fails_by_the_clocks_says_so() {
        let failed = |cause: String| {
            let causes = vec![BlobError::Refused { server_id: ServerId(1), cause }];
            upload_error(UploadError::NoServerLeft(causes), 1).detail
        };
        assert!(failed(CapabilityError::Expired.to_string()).contains("clocks"));
        assert!(!failed(CapabilityError::WrongEpoch.to_string()).contains("clocks"));
    }
}

//! One body to several file servers at once, while it arrives.
//!
//! The loop: take a frame from the client, cut it into pieces, hash each, put each into the small buffer of every target
//! (a *lane*, with a task of its own that streams it to its server). The client is read no faster than the slowest
//! target takes, so memory is bounded by the buffers, and a target that is too slow is dropped.
//!
//! **The last piece is held back** until the body has ended, its length is right and its hash is the expected one. A
//! body that breaks off, runs too long or has another hash thus never reaches a server as a whole, even where the server
//! knows the length beforehand and would not wait for the end of the stream. Sending pieces as they come and deleting
//! afterwards was the other way; then a crash in between leaves a blob on the disks.
//!
//! Whatever ends an upload without success (an error, or the request's future being dropped because its connection went
//! away) ends the lanes: their streams end with an error, and a copy that a server had finished all the same is deleted
//! by the lane's own task.

use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::digest::{self, Digest, HashState, Stopping};
use crate::client::blobs::{BlobError, Blobs, ServerAddress, StoredCopy};
use crate::domain::{BlobId, CopyId, ServerId, Sha256};

mod lane;
mod lanes;
mod restore;

pub use restore::{Restored, discard, restore_copies};

use lanes::Lanes;

/// A body to be stored.
#[derive(Clone, Debug)]
pub struct Upload {
    pub blob_id: BlobId,
    /// The servers, the primary first, each once and with a fresh id for its copy.
    pub targets: Vec<(ServerAddress, CopyId)>,
    /// The size where the client has said it.
    pub length: Option<u64>,
    /// A larger body is refused.
    pub max_bytes: u64,
    /// What the client says that the hash is.
    pub expected_sha256: Option<Sha256>,
    /// How far the hash of the whole has come before this body, where it is only a part of one.
    pub whole: Option<HashState>,
}

/// A body that is durable on one file server at least. Whoever holds this answers for the copies: commits them, or
/// [`discard`]s them.
#[derive(Clone, Debug)]
pub struct Uploaded {
    pub blob_id: BlobId,
    pub size: u64,
    pub sha256: Sha256,
    /// In the order of the targets.
    pub copies: Vec<StoredCopy>,
    /// Where each of `copies` is, in the same order.
    pub servers: Vec<ServerAddress>,
    /// The targets that were dropped, in the order in which they were.
    pub lost: Vec<ServerId>,
    /// Why each of `lost` was, in the same order.
    pub causes: Vec<Arc<BlobError>>,
    /// How far the hash of the whole has come with this body, where it is only a part of one.
    pub whole: Option<HashState>,
}

/// Why nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The body broke off, or was shorter or longer than its length.
    #[error("the body broke off: {0}")]
    ClientBroke(String),
    #[error("the body is larger than allowed")]
    TooLarge,
    #[error("the body's SHA-256 is not the expected one")]
    ChecksumMismatch,
    /// Every target was dropped; why, for each.
    #[error("no file server is left that takes the body: {}", list(.0))]
    NoServerLeft(Vec<BlobError>),
    /// Every target was dropped, each because it has no room.
    #[error("no file server has room for the body")]
    Full,
    /// A file server's receipt is for something else than what was sent to it.
    #[error("a file server's receipt does not agree: {0}")]
    Disagree(String),
}

fn list(errors: &[BlobError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<Stopping> for UploadError {
    fn from(Stopping: Stopping) -> Self {
        Self::ClientBroke("this node is stopping".to_owned())
    }
}

/// Stores `body` on all targets at once. Answers when each target that was not dropped has its copy on disk.
///
/// A target is dropped, and the upload goes on with the others, when it fails, takes nothing for 3 s while its buffer
/// is full (10 s if it is the last one left), or owes its receipt for 10 s after the end of the body. How long the client
/// takes is the caller's to bound: an idle client is no reason to drop anything here.
///
/// Dropping the future is as good as the client breaking off.
///
/// # Errors
/// See [`UploadError`]. The servers keep nothing, or delete what they had kept soon after.
pub async fn upload<E: Display>(
    blobs: &Arc<dyn Blobs>,
    upload: Upload,
    body: impl Stream<Item = Result<Bytes, E>>,
) -> Result<Uploaded, UploadError> {
    if upload.length.is_some_and(|length| length > upload.max_bytes) {
        return Err(UploadError::TooLarge);
    }
    let Upload { blob_id, targets, length, max_bytes, expected_sha256, whole } = upload;
    let mut lanes = Lanes::open(blobs, targets, blob_id, length, max_bytes)?;

    let mut body = pin!(body);
    let unreadable = || UploadError::Disagree("the state of the whole's hash cannot be read".to_owned());
    let mut digest = Digest::within(whole.as_ref()).ok_or_else(unreadable)?;
    let mut size = 0_u64;
    let mut held = Bytes::new();
    while let Some(frame) = body.next().await {
        let frame = frame.map_err(|error| UploadError::ClientBroke(error.to_string()))?;
        size = size.saturating_add(frame.len() as u64);
        if size > max_bytes {
            return Err(UploadError::TooLarge);
        }
        if length.is_some_and(|length| size > length) {
            return Err(UploadError::ClientBroke("it is longer than its Content-Length".to_owned()));
        }
        for piece in digest::pieces(frame) {
            digest.update(piece.clone()).await?;
            let before = std::mem::replace(&mut held, piece);
            if !before.is_empty() {
                lanes.send(before).await?;
            }
        }
    }
    if length.is_some_and(|length| size < length) {
        return Err(UploadError::ClientBroke("it is shorter than its Content-Length".to_owned()));
    }
    let (sha256, whole) = digest.finish_both().await?;
    if expected_sha256.is_some_and(|expected| expected != sha256) {
        return Err(UploadError::ChecksumMismatch);
    }
    lanes.finish(held).await?;
    Ok(Uploaded { whole, ..lanes.receipts(size, sha256).await? })
}

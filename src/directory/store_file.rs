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
//!
//! What is larger than an extent goes this way extent by extent, each named by an entry of its own, and one more entry
//! names them all: see `extents`.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::error::ApiResult;
use super::node::App;
use super::transfer::digest::HashState;
use super::transfer::stretch::Stretches;
use super::transfer::upload::UploadError;
use crate::domain::query;
use crate::domain::terms::{NewContent, Operation, Purpose};
use crate::domain::{Command, ContentId, Outcome, Proposal, Sha256, UserId, command};

mod blob;
mod copies;
mod errors;
mod extents;
mod parts;
mod resumed;

pub(crate) use blob::{BlobWriter, Order};
pub(crate) use errors::{over_quota, too_large, upload_error};
pub(crate) use extents::{Begin, Sending};
pub(crate) use parts::{NewPart, begin_parts, complete_parts, put_part};
pub(crate) use resumed::{Received, finish_empty, receive};

/// How long an upload that this node receives as one body waits for its next extent: no client that is still there is slower
/// than a few kilobytes a second. What a node leaves behind when it dies goes after that.
const IDLE_MS: u64 = 6 * 60 * 60 * 1000;
/// The same for a restore, which may be taken up by another node.
const RESTORE_IDLE_MS: u64 = 24 * 60 * 60 * 1000;

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
    pub(crate) purpose: Purpose,
    /// The id that its content keeps, where it comes from a backup.
    pub(crate) content_id: Option<ContentId>,
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
        let Incoming { length, max_bytes, digest, .. } = incoming;
        if length.is_some_and(|length| length > max_bytes) {
            return Err(too_large(max_bytes));
        }
        let extent_bytes = self.node.handle().read_local(|store| query::policy(store)).await?.extent_bytes;
        let small = length.is_some_and(|length| length <= extent_bytes);
        let writer = BlobWriter { node: self.node };
        let mut sending = None;
        if length.is_some() && !small {
            sending = Some(self.begin(&incoming).await?);
        }
        // A restore that was broken off goes on.
        let mut done = sending.as_ref().map_or(0, Sending::offset);
        let mut body = Stretches::new(Bytes::new(), body);
        skip(&mut body, done).await.map_err(|error| upload_error(error, max_bytes))?;
        loop {
            if let Some(sending) = &sending
                && length == Some(done)
            {
                return self.finish(sending, digest, name).await;
            }
            body.begin(extent_bytes);
            let whole = sending.as_ref().map(|sending| sending.hash().clone());
            let order = Order {
                length: length.map(|length| length.saturating_sub(done).min(extent_bytes)),
                at_most: incoming.at_most.map(|most| most.saturating_sub(done).min(extent_bytes)),
                max_bytes: max_bytes.saturating_sub(done),
                limit: max_bytes,
                digest: digest.filter(|_| small),
                whole: whole.or_else(|| (!small).then(HashState::start)),
            };
            let brought = writer.bring(order, &mut body).await?;
            let more = match body.has_more().await {
                Ok(more) => more,
                Err(error) => {
                    writer.discard(brought);
                    return Err(upload_error(UploadError::ClientBroke(error.to_string()), max_bytes));
                }
            };
            done += brought.blob.size;
            if sending.is_none() && !more {
                if digest.is_some_and(|digest| digest != brought.blob.sha256) {
                    writer.discard(brought);
                    return Err(upload_error(UploadError::ChecksumMismatch, max_bytes));
                }
                let operation = name(brought.blob.size, &brought.blob.sha256);
                return writer
                    .commit(brought, |blob, receipts| {
                        let content = NewContent {
                            blob_id: blob.blob_id,
                            size: blob.size,
                            sha256: blob.sha256,
                            content_type: incoming.content_type.clone(),
                            receipts,
                        };
                        let command = self.command(content);
                        Proposal { operation: operation.clone(), command }
                    })
                    .await;
            }
            let sending = match &mut sending {
                Some(sending) => sending,
                None => match self.begin(&incoming).await {
                    Ok(begun) => sending.insert(begun),
                    Err(error) => {
                        writer.discard(brought);
                        return Err(error);
                    }
                },
            };
            sending.add(brought, Vec::new()).await?;
            if !more {
                return self.finish(sending, digest, name).await;
            }
        }
    }

    async fn finish(
        &self,
        sending: &Sending,
        digest: Option<Sha256>,
        name: impl Fn(u64, &Sha256) -> Option<Operation> + Send,
    ) -> ApiResult<Outcome> {
        let sha256 = sending.digest()?;
        if digest.is_some_and(|digest| digest != sha256) {
            return Err(upload_error(UploadError::ChecksumMismatch, 0));
        }
        let operation = name(sending.offset(), &sha256);
        sending.finish(Some(self.purpose.clone()), operation).await
    }

    async fn begin(&self, incoming: &Incoming) -> ApiResult<Sending> {
        let restores = matches!(self.purpose, Purpose::Restore { .. });
        let upload_id = self.content_id.unwrap_or_else(|| ContentId(self.node.clock.random_u128()));
        let begin = Begin {
            upload_id,
            content_type: incoming.content_type.clone(),
            length: incoming.length,
            idle_ms: if restores { RESTORE_IDLE_MS } else { IDLE_MS },
            purpose: self.purpose.clone(),
        };
        let mut sending = Sending::begin(self.node, self.user, begin).await?;
        if !restores {
            sending.give_up_when_dropped();
        }
        Ok(sending)
    }

    /// The command that gives the file this content.
    fn command(&self, content: NewContent) -> Command {
        change_command(self.purpose.clone(), self.user, self.content_id, content)
    }
}

/// The command by which a content of one extent becomes what it is for.
pub(crate) fn change_command(
    purpose: Purpose,
    user: UserId,
    content_id: Option<ContentId>,
    content: NewContent,
) -> Command {
    match purpose {
        Purpose::Write(at) => Command::Write(command::Write { user, at, content }),
        Purpose::Update { file, precondition, lock } => {
            Command::Update(command::Update { user, file, content, precondition, lock })
        }
        Purpose::Restore { backup, row } => {
            let content_id = content_id.unwrap_or_else(|| ContentId::of(content.blob_id));
            Command::RestoreContent(command::RestoreContent { backup, content_id, row, content })
        }
        Purpose::Part { upload_id, number } => Command::PutPart(command::PutPart { user, upload_id, number, content }),
    }
}

/// Passes by the first bytes of a body.
async fn skip<S, E>(body: &mut Stretches<'_, S>, bytes: u64) -> Result<(), UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::fmt::Display + Send,
{
    body.begin(bytes);
    while let Some(frame) = body.next().await {
        frame.map_err(|error| UploadError::ClientBroke(error.to_string()))?;
    }
    Ok(())
}

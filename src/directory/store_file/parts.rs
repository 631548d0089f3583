//! Uploads in parts, for whichever door they come through: each part is stored by itself, in any order and at any node, and
//! a list of them becomes a file.
//!
//! ```text
//! BeginParts → (PutPart, or an upload of its own for a large one)… → judge the list → CompleteParts → AddPieces…
//!                                                                      ↑ a part came │  → look as `extents` does → FinishUpload
//! ```
//!
//! Two nodes may complete one upload with one list at once, and a leader may go in the middle: each command may come twice,
//! and whoever finds that the upload has come to its end asks what became of it.

use std::sync::Mutex;

use bytes::Bytes;
use futures_util::Stream;
use sha2::Digest as _;

use super::errors::{over_quota, servers_changed, too_large};
use super::extents::finish_content;
use super::{Incoming, StoreFile};
use crate::consensus::QueryKind;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::node::App;
use crate::domain::answer::Stat;
use crate::domain::query::{self, Judged, PartsStat};
use crate::domain::terms::{MAX_PIECES_ADDED, Purpose};
use crate::domain::{Command, ContentId, Outcome, Proposal, Rejection, RejectionKind, Sha256, UserId, command};
use crate::protocol::problem::Code;

/// How long an upload waits for its next part.
const IDLE_MS: u64 = 24 * 60 * 60 * 1000;
/// How often a list is judged anew, because a part came meanwhile or somebody else has completed the upload.
const ROUNDS: u32 = 10;

/// A part as a client names it.
pub(crate) type Listed = (u32, Sha256);

/// Begins an upload in parts, or finds the one of that id.
pub(crate) async fn begin_parts(
    node: &App,
    user: UserId,
    upload_id: ContentId,
    content_type: String,
    purpose: Purpose,
) -> ApiResult<PartsStat> {
    let command = command::BeginParts { user, upload_id, content_type, idle_ms: IDLE_MS, purpose };
    node.propose(Proposal { operation: None, command: command.into() }).await?;
    Ok(node.handle().read(move |store| query::upload_in_parts(store, user, upload_id)).await??)
}

/// A part that was stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredPart {
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

/// Where a part goes, and what is known of it before its bytes have come.
pub(crate) struct NewPart {
    pub(crate) upload_id: ContentId,
    pub(crate) number: u32,
    pub(crate) length: Option<u64>,
    pub(crate) digest: Option<Sha256>,
    /// How many bytes its user has room for, as `precheck_part` has said.
    pub(crate) room: u64,
}

/// Stores a part, in place of one of that number. What becomes of it is known again by sending it again.
pub(crate) async fn put_part<S, E>(node: &App, user: UserId, part: NewPart, body: &mut S) -> ApiResult<StoredPart>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::fmt::Display + Send,
{
    let NewPart { upload_id, number, length, digest, room } = part;
    let max_bytes = node.settings.max_file_bytes;
    if length.is_some_and(|length| length > max_bytes) {
        return Err(too_large(max_bytes));
    }
    let incoming = Incoming {
        length,
        at_most: length,
        max_bytes: max_bytes.min(room),
        // The upload has one.
        content_type: String::new(),
        digest,
    };
    let told = Mutex::new(None);
    let tell = |size: u64, sha256: &Sha256| {
        if let Ok(mut told) = told.lock() {
            *told = Some(StoredPart { size, sha256: *sha256 });
        }
        None
    };
    let purpose = Purpose::Part { upload_id, number };
    let stored = StoreFile { node, user, purpose, content_id: None }.run(incoming, body, tell).await;
    match stored {
        Err(error) if error.code == Code::TooLarge && room < max_bytes => Err(over_quota(room)),
        Err(error) => Err(error),
        Ok(_) => {
            told.into_inner().ok().flatten().ok_or_else(|| ApiError::internal("a part was stored without a digest"))
        }
    }
}

/// What makes a list of parts this list.
fn digest_of(list: &[Listed]) -> Sha256 {
    let mut hash = sha2::Sha256::new();
    for (number, sha256) in list {
        hash.update(number.to_be_bytes());
        hash.update(sha256.0);
    }
    Sha256(hash.finalize().into())
}

/// Makes a file of the parts of a list. The same list goes on with what was begun, and hears what became of it for as long as
/// outcomes are remembered. `purpose` says what it becomes, where that is not what it was begun for.
///
/// # Errors
/// Whatever is refused keeps the parts: another list may do before the first was taken, and the same one afterwards.
pub(crate) async fn complete_parts(
    node: &App,
    user: UserId,
    upload_id: ContentId,
    list: Vec<Listed>,
    purpose: Option<Purpose>,
) -> ApiResult<Stat> {
    let completion = Completion { node, user, upload_id, digest: digest_of(&list), list, purpose };
    for _ in 0..ROUNDS {
        if let Some(stat) = completion.round().await? {
            return Ok(stat);
        }
    }
    Err(servers_changed().because("the upload kept changing while its parts were put together"))
}

struct Completion<'a> {
    node: &'a App,
    user: UserId,
    upload_id: ContentId,
    digest: Sha256,
    list: Vec<Listed>,
    purpose: Option<Purpose>,
}

impl Completion<'_> {
    /// Nothing where the upload is not as it was: look again.
    async fn round(&self) -> ApiResult<Option<Stat>> {
        let judged = match self.look().await? {
            Looked::File(stat) => return Ok(Some(*stat)),
            Looked::Judged(judged) => judged,
        };
        let Some(()) = self.mark(&judged).await? else { return Ok(None) };
        let Some(()) = self.put_together(&judged).await? else { return Ok(None) };
        match finish_content(self.node, self.user, self.upload_id, (judged.size, None), self.purpose.clone(), None)
            .await
        {
            Ok(Outcome::Stat(stat)) => Ok(Some(*stat)),
            Ok(other) => Err(ApiError::internal(format!("the end of an upload was answered {other:?}"))),
            // The next look tells.
            Err(error) if error.code == Code::OutcomeUnknown => Ok(None),
            Err(error) if error.code == Code::NotFound && self.has_ended().await? => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn look(&self) -> ApiResult<Looked> {
        let (user, id, digest, list) = (self.user, self.upload_id, self.digest, self.list.clone());
        let look = move |store: &dyn crate::domain::ReadStore| {
            let done = query::completed(store, user, id, digest)?;
            Ok((done, query::judge_parts(store, user, id, &list, digest)?))
        };
        let (done, judged) = self.node.handle().read_as(QueryKind::Listing, look).await?;
        match done? {
            Some(stat) => Ok(Looked::File(Box::new(stat))),
            None => Ok(Looked::Judged(judged?)),
        }
    }

    /// Whether the upload is there no more.
    async fn has_ended(&self) -> ApiResult<bool> {
        let (user, id) = (self.user, self.upload_id);
        Ok(self.node.handle().read(move |store| query::upload_in_parts(store, user, id)).await?.is_err())
    }

    async fn propose(&self, command: Command) -> ApiResult<Result<Outcome, Rejection>> {
        Ok(self.node.handle().propose(Proposal { operation: None, command }).await?)
    }

    /// Nothing where the list has to be judged anew.
    async fn mark(&self, judged: &Judged) -> ApiResult<Option<()>> {
        let command = command::CompleteParts {
            user: self.user,
            upload_id: self.upload_id,
            revision: judged.revision,
            digest: self.digest,
            pieces: judged.pieces,
            size: judged.size,
            purpose: self.purpose.clone(),
        };
        match self.propose(command.into()).await? {
            Ok(_) => Ok(Some(())),
            Err(rejection) if rejection.kind == RejectionKind::StaleState => Ok(None),
            Err(rejection) => self.unless_ended(rejection).await,
        }
    }

    /// Nothing where somebody else has finished meanwhile.
    async fn put_together(&self, judged: &Judged) -> ApiResult<Option<()>> {
        let mut left = &judged.left[..];
        loop {
            let next = &left[..left.len().min(MAX_PIECES_ADDED)];
            let (user, upload_id, digest, pieces) = (self.user, self.upload_id, self.digest, next.to_vec());
            match self.propose(command::AddPieces { user, upload_id, digest, pieces }.into()).await? {
                Ok(Outcome::Progress { more: false, .. }) => return Ok(Some(())),
                Ok(Outcome::Progress { rows: through, .. }) => {
                    left = &left[left.partition_point(|piece| piece.number <= through)..];
                }
                Ok(other) => return Err(ApiError::internal(format!("pieces were answered {other:?}"))),
                Err(rejection) => return self.unless_ended(rejection).await,
            }
        }
    }

    async fn unless_ended(&self, rejection: Rejection) -> ApiResult<Option<()>> {
        if rejection.kind == RejectionKind::NotFound && self.has_ended().await? {
            return Ok(None);
        }
        Err(rejection.into())
    }
}

enum Looked {
    /// It was completed before.
    File(Box<Stat>),
    Judged(Judged),
}

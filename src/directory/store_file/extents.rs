//! An upload in several extents: each is brought in and named by itself, and one more entry names the whole.
//!
//! ```text
//! BeginUpload → (bring an extent → AddExtents)… → look whether each extent has its copies → FinishUpload
//! ```
//!
//! What one extent has cost is never lost: another node can go on behind it, since the log has the state of the hash as
//! well. Hours may lie between the first extent and the last, and file servers die meanwhile. So before the whole is named,
//! all extents are looked at, and those that are short of copies are waited for: the replication job mends them as those of
//! any file. `FinishUpload` says as of which loss of copies the node has looked, and is refused where there was another one
//! since.

use std::time::{Duration, Instant};

use super::blob::{BlobWriter, Brought};
use crate::consensus::Handle;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::node::App;
use crate::directory::transfer::digest::HashState;
use crate::domain::query::{self, UploadStat};
use crate::domain::terms::{NewExtent, Operation, Purpose};
use crate::domain::{Command, ContentId, Fault, Outcome, Proposal, ReadStore, RejectionKind, Sha256, UserId, command};
use crate::protocol::problem::Code;

/// How often extents are looked at anew, because file servers changed between the look and the entry.
const LOOKS: u32 = 10;
/// In so many of these, extents that are short of copies are waited for; after that they are owed.
const PATIENT_LOOKS: u32 = 3;
/// For how long, in each.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Extents that one read looks at.
const PAGE: usize = 256;

/// What is known of an upload when it begins.
pub(crate) struct Begin {
    pub(crate) upload_id: ContentId,
    pub(crate) content_type: String,
    pub(crate) length: Option<u64>,
    pub(crate) idle_ms: u64,
    pub(crate) purpose: Purpose,
}

/// An upload of which this node receives the next extents.
pub(crate) struct Sending {
    node: App,
    user: UserId,
    upload_id: ContentId,
    /// How many bytes its extents have.
    size: u64,
    /// How many came behind them.
    tail: u64,
    hash: HashState,
    /// The size of the whole, where the next entry has to say it.
    length: Option<u64>,
    guard: Option<GiveUp>,
}

impl Sending {
    /// Begins an upload, or goes on with the one of that id.
    pub(crate) async fn begin(node: &App, user: UserId, begin: Begin) -> ApiResult<Self> {
        let Begin { upload_id, content_type, length, idle_ms, purpose } = begin;
        let hash = HashState::start().0;
        let command = command::BeginUpload { user, upload_id, content_type, length, idle_ms, hash, purpose };
        node.propose(Proposal { operation: None, command: command.into() }).await?;
        let found = node.handle().read(move |store| query::upload(store, user, upload_id)).await??;
        Ok(Self::of(node, user, &found))
    }

    /// The upload as a read has found it.
    pub(crate) fn of(node: &App, user: UserId, found: &UploadStat) -> Self {
        Self {
            node: node.clone(),
            user,
            upload_id: found.upload_id,
            size: found.size,
            tail: found.upload.tail.len() as u64,
            hash: HashState(found.upload.hash.clone()),
            length: None,
            guard: None,
        }
    }

    /// The size of the whole is known now.
    pub(crate) const fn tell_length(&mut self, length: u64) {
        self.length = Some(length);
    }

    /// From now on it ends with its request, unless it was finished.
    pub(crate) fn give_up_when_dropped(&mut self) {
        self.guard = Some(GiveUp { handle: self.node.handle().clone(), user: self.user, upload_id: self.upload_id });
    }

    /// The next byte to be sent.
    pub(crate) const fn offset(&self) -> u64 {
        self.size + self.tail
    }

    /// How many bytes its extents have.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Over all extents.
    pub(crate) const fn hash(&self) -> &HashState {
        &self.hash
    }

    pub(crate) fn digest(&self) -> ApiResult<Sha256> {
        self.hash.digest().ok_or_else(|| ApiError::internal("the state of an upload's hash cannot be read"))
    }

    /// Names the next extent, which has taken in the tail that was there. `tail` came behind it.
    pub(crate) async fn add(&mut self, brought: Brought, tail: Vec<u8>) -> ApiResult<()> {
        let hash = brought.whole.clone().unwrap_or_else(|| self.hash.clone());
        let size = brought.blob.size;
        let writer = BlobWriter { node: &self.node };
        let (user, upload_id, at, had, length) = (self.user, self.upload_id, self.size, self.tail, self.length);
        let left = tail.len() as u64;
        writer
            .commit(brought, |blob, receipts| {
                let (blob_id, size, sha256) = (blob.blob_id, blob.size, blob.sha256);
                let extents = vec![NewExtent { blob_id, size, sha256, receipts }];
                let (hash, tail) = (hash.0.clone(), tail.clone());
                let command = command::AddExtents { user, upload_id, at, had, extents, hash, tail, length };
                Proposal { operation: None, command: command.into() }
            })
            .await?;
        self.size += size;
        self.tail = left;
        self.hash = hash;
        Ok(())
    }

    /// Keeps what came and is too little for an extent, with what was kept before.
    pub(crate) async fn keep_tail(&mut self, tail: Vec<u8>) -> ApiResult<()> {
        let left = tail.len() as u64;
        let command = command::AddExtents {
            user: self.user,
            upload_id: self.upload_id,
            at: self.size,
            had: self.tail,
            extents: Vec::new(),
            hash: self.hash.0.clone(),
            tail,
            length: self.length,
        };
        self.node.propose(Proposal { operation: None, command: command.into() }).await?;
        self.tail = left;
        Ok(())
    }

    /// Names the whole, which makes a file of it.
    ///
    /// # Errors
    /// Where an extent has no copy that counts: the upload is kept, and can be finished when a file server is back.
    pub(crate) async fn finish(&self, purpose: Option<Purpose>, operation: Option<Operation>) -> ApiResult<Outcome> {
        let of = (self.size, Some(self.digest()?));
        finish_content(&self.node, self.user, self.upload_id, of, purpose, operation).await
    }
}

/// Names the whole of an upload, which makes a file of it: so many bytes, and their digest where they came in order.
pub(super) async fn finish_content(
    node: &App,
    user: UserId,
    upload_id: ContentId,
    (size, sha256): (u64, Option<Sha256>),
    purpose: Option<Purpose>,
    operation: Option<Operation>,
) -> ApiResult<Outcome> {
    for round in 0..LOOKS {
        let losses = look(node, upload_id, round < PATIENT_LOOKS).await?;
        let purpose = purpose.clone();
        let command = command::FinishUpload { user, upload_id, size, sha256, losses, purpose };
        let proposal = Proposal { operation: operation.clone(), command: Command::FinishUpload(command) };
        match node.handle().propose(proposal).await? {
            Err(rejection) if rejection.kind == RejectionKind::StaleReceipt => {}
            Err(rejection) => return Err(rejection.into()),
            Ok(outcome) => return Ok(outcome),
        }
    }
    Err(super::errors::servers_changed())
}

/// Looks whether each extent has copies that count, and waits for those that are short of them where `patient`. Answers with
/// the loss of copies as of which it has looked.
async fn look(node: &App, id: ContentId, patient: bool) -> ApiResult<u64> {
    let until = Instant::now() + PATIENCE;
    loop {
        let losses = node.handle().read(move |store| query::losses(store)).await?;
        let (mut from, mut short) = (0, false);
        loop {
            let page = node.handle().read_local(move |store| Page::read(store, id, from)).await?;
            if let Some(offset) = page.lost {
                return Err(lost(offset));
            }
            short |= page.short;
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        if !short || !patient || Instant::now() >= until {
            return Ok(losses);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn lost(offset: u64) -> ApiError {
    ApiError::new(
        Code::NoReplicaAvailable,
        format!(
            "no file server with the bytes from {offset} on is up at the moment, and the upload is not named: finish it when \
             one is back, or send it again"
        ),
    )
}

/// What a look at some extents has found.
struct Page {
    /// Where one begins of which no copy counts.
    lost: Option<u64>,
    /// One has fewer copies than can be had.
    short: bool,
    next: Option<u64>,
}

impl Page {
    fn read(store: &dyn ReadStore, id: ContentId, from: u64) -> Result<Self, Fault> {
        let ring = query::ring(store)?;
        let eligible = ring.servers.iter().filter(|server| server.is_eligible()).count();
        let wanted = usize::try_from(ring.copies).unwrap_or(usize::MAX).min(eligible);
        let found = query::extents(store, id, from, PAGE)?;
        let next = found.last().filter(|_| found.len() == PAGE);
        Ok(Self {
            lost: found.iter().find(|at| at.counted.is_empty()).map(|at| at.offset),
            short: found.iter().any(|at| at.counted.len() < wanted),
            next: next.map(|last| last.offset.saturating_add(last.extent.size)),
        })
    }
}

/// Gives an upload up when its request ends. It has no effect on one that was finished.
struct GiveUp {
    handle: Handle,
    user: UserId,
    upload_id: ContentId,
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        let (handle, user, upload_id) = (self.handle.clone(), self.user, self.upload_id);
        tokio::spawn(async move {
            let command = command::EndUpload { user, upload_id };
            let proposal = Proposal { operation: None, command: command.into() };
            if let Err(error) = handle.propose(proposal).await {
                tracing::debug!(%upload_id, %error, "an upload was not given up, and ends by itself");
            }
        });
    }
}

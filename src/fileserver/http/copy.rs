//! Fetching a copy from another file server.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};

use super::answer::Failure;
use super::authorize::{Caller, authorize};
use super::blobs::{parse_blob_id, stored_answer};
use super::{Context, STALL, read_json};
use crate::client::blobs::http::HttpBlobs;
use crate::client::blobs::{BlobError, Body as BlobBody, ServerAddress};
use crate::domain::{BlobId, CopyId};
use crate::fileserver::check::check;
use crate::fileserver::pace::Pace;
use crate::fileserver::store::{NewCopy, StoreError, Stored};
use crate::fileserver::transfer::{IntakeError, Terms, blocking, take_in};
use crate::protocol::blob::CopyRequest;
use crate::protocol::capability::Method;
use crate::protocol::problem::Code;

/// How often in a row a broken connection is tried again without a byte gained.
const ATTEMPTS: u32 = 2;
/// A slower pace is taken for this one: at less, a connection could look stalled to the source.
const SLOWEST_PACE: u64 = 64 * 1024;

pub(super) async fn copy(
    State(context): State<Arc<Context>>,
    Path(blob_id): Path<String>,
    caller: Caller,
    body: Body,
) -> Result<Response, Failure> {
    let blob_id = parse_blob_id(&blob_id)?;
    let granted = authorize(&context, &caller, Method::Copy, Some(blob_id)).await?;
    let request: CopyRequest = read_json(body).await?;
    if request.size > granted.max_bytes {
        let detail = format!("The capability allows {} bytes: ask for a larger one.", granted.max_bytes);
        return Err(Failure::new(Code::TooLarge, detail));
    }
    let replaces = match already_here(&context, blob_id, &request).await? {
        Here::Nothing => None,
        Here::GivesWay(copy_id) => Some(copy_id),
        Here::This(stored) => return stored_answer(&context, &granted, &stored),
    };
    let source = source(&context, &request)?;
    let pace = request.bytes_per_second.map(|pace| Pace::new(pace.max(SLOWEST_PACE)));
    let bytes =
        Source { peers: context.peers.clone(), address: source, blob_id, request: request.clone() }.stream(pace);
    let new = NewCopy { blob_id, copy_id: request.copy_id, length: Some(request.size), replaces };
    let terms = Terms { max_bytes: request.size, sha256: Some(request.sha256), stall: STALL };
    let stored = take_in(Arc::clone(&context.store), new, terms, bytes).await.map_err(copy_failed)?;
    stored_answer(&context, &granted, &stored)
}

/// What is in the place where the copy is to go.
enum Here {
    Nothing,
    /// A copy that is to be deleted, or whose bytes are not what was written.
    GivesWay(CopyId),
    This(Stored),
}

/// A repeated request is answered without fetching the bytes again. Another copy is looked at: if it is good, two copies
/// of one blob are meant for this server, which is somebody's mistake; if it is damaged, this one is its repair.
async fn already_here(context: &Context, blob_id: BlobId, request: &CopyRequest) -> Result<Here, Failure> {
    let store = Arc::clone(&context.store);
    match blocking(move || store.head(blob_id)).await? {
        Ok(record)
            if (record.copy_id, record.size, record.sha256) == (request.copy_id, request.size, request.sha256) =>
        {
            Ok(Here::This(Stored { record, existed: true }))
        }
        Ok(record) if request.replaces.contains(&record.copy_id) => Ok(Here::GivesWay(record.copy_id)),
        Ok(record) => match check(&context.store, blob_id, Some(record.copy_id), None).await {
            Ok(_) => Err(StoreError::Conflict(record.copy_id).into()),
            Err(IntakeError::Store(StoreError::Damaged { .. })) => Ok(Here::GivesWay(record.copy_id)),
            Err(IntakeError::Store(StoreError::Missing)) => Ok(Here::Nothing),
            Err(error) => Err(error.into()),
        },
        // What is damaged here gives way to the new copy.
        Err(StoreError::Missing | StoreError::Damaged { .. }) => Ok(Here::Nothing),
        Err(error) => Err(error.into()),
    }
}

/// Where the source is, by the directory's last word. An address in the request would let whoever holds a capability
/// send this server anywhere.
fn source(context: &Context, request: &CopyRequest) -> Result<ServerAddress, Failure> {
    let view = context.view.borrow();
    let source_id = request.source_server_id;
    if view.bound.is_some_and(|(_, own)| own == source_id) {
        return Err(Failure::new(Code::InvalidRequest, "Name another file server as the source than the target."));
    }
    let entry = view.servers.get(&source_id).ok_or_else(|| {
        let detail = format!("File server {source_id} is not known here yet: try again after the next heartbeat.");
        Failure::new(Code::NoReplicaAvailable, detail)
    })?;
    Ok(ServerAddress { server_id: entry.server_id, epoch: entry.epoch, uuid: entry.uuid, url: entry.url.clone() })
}

/// What becomes of the source's errors: the caller must be able to tell which of the two servers is at fault.
fn copy_failed(error: IntakeError) -> Failure {
    let code = match &error {
        IntakeError::Broken(cause) => match cause.downcast_ref() {
            Some(BlobError::Missing { .. }) => Code::NotFound,
            Some(BlobError::Corrupt { .. }) => Code::DataCorrupt,
            _ => Code::NoReplicaAvailable,
        },
        IntakeError::Stalled(_) => Code::NoReplicaAvailable,
        IntakeError::TooLarge(_) | IntakeError::WrongLength { .. } | IntakeError::WrongDigest { .. } => {
            Code::ChecksumMismatch
        }
        IntakeError::Store(_) | IntakeError::Interrupted(_) => return error.into(),
    };
    Failure::new(code, format!("The source did not give the copy: {error}"))
}

/// A blob on its way here.
struct Fetch {
    source: Source,
    body: Option<BlobBody>,
    offset: u64,
    /// In a row, without a byte gained.
    failures: u32,
    pace: Option<Pace>,
}

impl Fetch {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        let body = match &mut self.body {
            Some(body) => body,
            // All bytes have come; only the end of the connection was not clean.
            None if self.offset > 0 && self.offset >= self.source.request.size => return Ok(None),
            None => self.body.insert(self.source.open(self.offset).await?),
        };
        let Some(bytes) = body.next().await.transpose()? else { return Ok(None) };
        self.offset += bytes.len() as u64;
        self.failures = 0;
        if let Some(pace) = &mut self.pace {
            pace.spend(bytes.len() as u64).await;
        }
        Ok(Some(bytes))
    }
}

/// The blob as another server has it.
struct Source {
    peers: HttpBlobs,
    address: ServerAddress,
    blob_id: BlobId,
    request: CopyRequest,
}

impl Source {
    /// The bytes. Where the connection breaks, it goes on from there; if it broke because a chunk is damaged, the source
    /// says so at the second request, which begins with that chunk.
    fn stream(self, pace: Option<Pace>) -> impl Stream<Item = Result<Bytes, BlobError>> + Send {
        let state = Fetch { source: self, body: None, offset: 0, failures: 0, pace };
        stream::unfold(Some(state), |state| async move {
            let mut state = state?;
            loop {
                let error = match state.next().await {
                    Ok(None) => return None,
                    Ok(Some(bytes)) => return Some((Ok(bytes), Some(state))),
                    Err(error) => error,
                };
                state.failures += 1;
                state.body = None;
                if state.failures > ATTEMPTS || !matches!(error, BlobError::Unreachable { .. }) {
                    return Some((Err(error), None));
                }
            }
        })
    }

    async fn open(&self, offset: u64) -> Result<BlobBody, BlobError> {
        // The first request takes the blob whatever its size, so that another size is noticed.
        let range = (offset > 0).then_some(offset..self.request.size);
        self.peers.get_with(&self.address, self.blob_id, range, &self.request.source_capability).await
    }
}

//! `/admin/backup/…`: the index at one log position, the bytes that it names, and the hold that keeps them meanwhile.
//! Any node answers, a follower without troubling the leader with more than one round.

use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;

use super::App;
use super::auth::Token;
use super::request::{Json, Query};
use crate::backup::{Head, write_index};
use crate::client::blobs::ServerAddress;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::lookout::address;
use crate::directory::transfer::download::{DownloadError, SourceFailed, download};
use crate::domain::query;
use crate::domain::{BlobId, Command, Fault, HoldId, ReadStore, command};
use crate::protocol::admin::{BlobOfBackup, Hold, Release};
use crate::protocol::problem::Code;

/// Pieces of an index (of 64 KiB or so) that wait for the network.
const WAITING: usize = 8;
/// A reader that takes nothing for so long loses its stream: it keeps an old state of the database from going.
const STALL: Duration = Duration::from_secs(60);

pub(crate) async fn hold(State(node): State<App>, token: Token, Json(asked): Json<Hold>) -> ApiResult<StatusCode> {
    node.read_as_admin(&token, |_| Ok(())).await?;
    let hold_id = hold_id(&asked.hold_id)?;
    node.command(Command::Hold(command::Hold { hold_id, ttl_ms: asked.ttl_ms, renew: asked.renew })).await?;
    if !asked.renew {
        tracing::info!(%hold_id, ttl_ms = asked.ttl_ms, "a backup keeps garbage from going");
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn release(
    State(node): State<App>,
    token: Token,
    Json(asked): Json<Release>,
) -> ApiResult<StatusCode> {
    node.read_as_admin(&token, |_| Ok(())).await?;
    let hold_id = hold_id(&asked.hold_id)?;
    node.command(Command::Release(command::Release { hold_id })).await?;
    tracing::info!(%hold_id, "a backup has ended");
    Ok(StatusCode::NO_CONTENT)
}

fn hold_id(text: &str) -> ApiResult<HoldId> {
    HoldId::parse(text)
        .ok_or_else(|| ApiError::invalid("a hold_id is 32 lower-case hexadecimal digits: make a random one"))
}

/// The index as of now, as a stream. Service goes on meanwhile: RocksDB keeps the state of this moment for the reader.
pub(crate) async fn index(State(node): State<App>, token: Token) -> ApiResult {
    node.read_as_admin(&token, |_| Ok(())).await?;
    let permit = node.index_streams.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(
            Code::TooManyRequests,
            "this node sends an index to others already: try again, or ask another node",
        )
    })?;
    let (sender, mut pieces) = mpsc::channel::<Result<Bytes, String>>(WAITING);
    let (handle, clock) = (node.handle().clone(), node.clock.clone());
    tokio::spawn(async move {
        let (runtime, last) = (tokio::runtime::Handle::current(), sender.clone());
        let write = move |store: &dyn ReadStore, applied: u64| {
            let cluster =
                query::cluster_info(store)?.ok_or_else(|| Fault("the cluster is not set up yet".to_owned()))?;
            let schema = query::schema(store)?.map_or(0, |schema| schema.0);
            let head = Head::new(cluster.cluster_id.to_string(), cluster.name, applied, schema, clock.wall_ms());
            write_index(store, &head, &mut |piece| {
                runtime
                    .block_on(sender.send_timeout(Ok(piece.into()), STALL))
                    .map_err(|_| Fault("the reader of the index went away".to_owned()))
            })
        };
        if let Err(error) = handle.read_whole(write).await {
            tracing::warn!(%error, "an index was not sent as a whole");
            // The connection is broken off: what came is no whole index.
            let _ = last.send_timeout(Err(error.to_string()), STALL).await;
        }
        drop(permit);
    });
    // The head is awaited, so that a node without a leader answers with an error.
    let first = match pieces.recv().await {
        Some(Ok(first)) => first,
        Some(Err(cause)) => return Err(ApiError::no_leader().because(cause)),
        None => return Err(ApiError::internal("an index ended before it began")),
    };
    let rest = stream::unfold((Some(first), pieces), |(first, mut pieces)| async move {
        let next = match first {
            Some(first) => Some(Ok(first)),
            None => pieces.recv().await,
        };
        next.map(|next| (next, (None, pieces)))
    });
    Ok(octets(Body::from_stream(rest)))
}

/// A blob's bytes from an offset on, also of one that is garbage by now. The caller knows its digest.
pub(crate) async fn blob(State(node): State<App>, token: Token, Query(asked): Query<BlobOfBackup>) -> ApiResult {
    let blob_id = BlobId::parse(&asked.blob_id)
        .ok_or_else(|| ApiError::invalid("a blob_id is 32 lower-case hexadecimal digits: take it from the index"))?;
    let range: Range<u64> = asked.offset..asked.size;
    if range.start > range.end {
        return Err(ApiError::invalid("the offset is behind the end: leave it out to begin at the start"));
    }
    let left = range.end - range.start;
    let holders = node.read_as_admin(&token, move |store| query::holders(store, blob_id)).await?;
    if holders.is_empty() {
        return Err(ApiError::new(Code::NotFound, "no file server has this blob: begin the backup again"));
    }
    let mut sources: Vec<ServerAddress> = holders.iter().map(address).collect();
    sources.sort_by_key(|at| node.servers.is_suspect(at.server_id)); // Stable: the others stay in order.
    let mut response = if range.is_empty() {
        octets(Body::empty())
    } else {
        let reporter = node.clone();
        let report = move |failed: SourceFailed| {
            reporter.note_blob_error(&failed.error);
            tracing::warn!(server_id = %failed.server_id, error = %failed.error, "a copy could not be read for a backup");
        };
        let opened = download(node.blobs.clone(), blob_id, sources, range, report).await;
        octets(Body::from_stream(opened.map_err(unavailable)?))
    };
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(left));
    Ok(response)
}

fn unavailable(error: DownloadError) -> ApiError {
    match error {
        DownloadError::NoReplica => ApiError::new(
            Code::NoReplicaAvailable,
            "no copy of a file can be reached at the moment: back up again when its file servers are back",
        ),
        DownloadError::Corrupt => ApiError::new(
            Code::DataCorrupt,
            "every copy of a file is damaged: see `ringmaster replication status`, and back up again when it is mended or removed",
        ),
    }
}

fn octets(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

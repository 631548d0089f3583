//! `/read`: bytes out.
//!
//! One linearizable read finds the file and checks the right to it; then the bytes stream from the primary, and from
//! the next copy where it fails, in the same response. A read that has sent nothing yet looks the file up once more
//! before it gives up: a repair may just have moved it.

use std::ops::Range;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use futures_util::StreamExt;

use super::App;
use super::auth::Token;
use super::request::{Query, conditions, file_ref};
use crate::client::request_id::carried;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::read_file::{Places, ReadFile};
use crate::directory::transfer::condition::{ETag, Verdict, range_applies};
use crate::directory::transfer::dates;
use crate::directory::transfer::download::DownloadError;
use crate::directory::transfer::range::{Wanted, content_range, unsatisfied_range, wanted};
use crate::domain::answer::ContentStat;
use crate::domain::query;
use crate::domain::terms::FileRef;
use crate::domain::{ClusterTime, ReadStore, UserId, Version, WallTime};
use crate::protocol::api::FileName;
use crate::protocol::problem::Code;
use crate::protocol::versions::ReadName;

pub(crate) async fn read(
    State(node): State<App>,
    token: Token,
    method: Method,
    headers: HeaderMap,
    Query(name): Query<ReadName>,
) -> ApiResult {
    let version = name.version.map(Version);
    let file = file_ref(&FileName { file_id: name.file_id, path: name.path, owner: name.owner })?;
    let asked = Asked { method, headers };
    let mut failed = None;
    for _ in 0..ATTEMPTS {
        let found = look_up(&node, &token, file.clone(), version).await?;
        let (head, range) = match asked.answer(&found)? {
            Answered::Head(response) => return Ok(response),
            Answered::Bytes(head, range) => (head, range),
        };
        let (content_id, extents) = (found.content.content_id, found.content.extents);
        let reading = ReadFile { user: found.user, content_id, extents };
        match reading.open(&node, &found.places, range).await {
            Ok(body) => {
                let running = node.reads.begin(found.seen_at);
                let body = carried(body.inspect(move |_| _ = &running));
                return Ok(Response::from_parts(head.into_parts().0, Body::from_stream(body)));
            }
            Err(error) => failed = Some(error),
        }
        if extents == 1 && found.places.is_lost_for_now() {
            // That is what the look-up said, and another one would say no other.
            break;
        }
    }
    Err(unavailable(failed.unwrap_or(DownloadError::NoReplica)))
}

/// How often a file is looked up whose bytes cannot be opened.
const ATTEMPTS: u32 = 2;

/// What a request wants of whatever version it meets.
struct Asked {
    method: Method,
    headers: HeaderMap,
}

enum Answered {
    /// The answer has no bytes of the file.
    Head(Response),
    /// The answer's head, and which bytes go with it.
    Bytes(Response, Range<u64>),
}

impl Asked {
    fn answer(&self, found: &Found) -> ApiResult<Answered> {
        match dates::verdict(
            &self.headers,
            conditions(&self.headers)?.verdict(Some(found.etag), true),
            found.modified_at,
        ) {
            Verdict::Proceed => {}
            Verdict::NotModified => {
                let (etag, date) = (found.etag.to_string(), dates::http_date(found.modified_at));
                let head = [(header::ETAG, etag), (header::LAST_MODIFIED, date)];
                return Ok(Answered::Head((StatusCode::NOT_MODIFIED, head).into_response()));
            }
            Verdict::Failed => {
                return Err(ApiError::new(
                    Code::VersionConflict,
                    "the file is at another version than If-Match names, or was changed since If-Unmodified-Since: read it again",
                ));
            }
        }
        let size = found.content.size;
        let range = self
            .headers
            .get(header::RANGE)
            .filter(|_| self.method == Method::GET && range_applies(&self.headers, found.etag));
        let (status, range) =
            match range.and_then(|value| value.to_str().ok()).map_or(Wanted::Whole, |text| wanted(text, size)) {
                Wanted::Whole => (StatusCode::OK, 0..size),
                Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
                Wanted::Unsatisfiable => return Ok(Answered::Head(outside(size))),
            };
        let head = head(status, found, &range)?;
        if self.method == Method::HEAD || range.is_empty() {
            return Ok(Answered::Head(head));
        }
        Ok(Answered::Bytes(head, range))
    }
}

/// A file that may be read, and where its first extent is.
struct Found {
    etag: ETag,
    content: ContentStat,
    places: Places,
    user: UserId,
    /// When that version was made.
    modified_at: WallTime,
    /// The cluster time of the state in which it was found.
    seen_at: ClusterTime,
}

async fn look_up(node: &App, token: &Token, file: FileRef, version: Option<Version>) -> ApiResult<Found> {
    let found = node.read_as(token, move |store, session| find(store, session.user, &file, version)).await??;
    found.ok_or_else(|| ApiError::invalid("this is a directory: list it with GET /list"))
}

/// Nothing where it is a directory.
fn find(store: &dyn ReadStore, user: UserId, file: &FileRef, version: Option<Version>) -> query::Asked<Option<Found>> {
    let stat = match version {
        Some(version) => query::stat_version(store, user, file, version),
        None => query::stat(store, user, file),
    };
    let stat = match stat? {
        Ok(stat) => stat,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let Some(content) = stat.content else { return Ok(Ok(None)) };
    let places = Places::find(store, content.blob_id, 0..content.size, content.replicas.clone())?;
    let etag = ETag { file_id: stat.file_id, version: content.version };
    let seen_at = query::cluster_time(store)?;
    Ok(Ok(Some(Found { etag, content, places, user, modified_at: stat.modified_at, seen_at })))
}

fn unavailable(error: DownloadError) -> ApiError {
    match error {
        DownloadError::NoReplica => ApiError::new(
            Code::NoReplicaAvailable,
            "none of the file's copies can be reached at the moment, the file is kept: try again when its file servers are back",
        ),
        DownloadError::Corrupt => ApiError::new(
            Code::DataCorrupt,
            "every copy of the file that can be reached is damaged, the record is kept: restore the file from a backup, or bring back its other file servers",
        ),
    }
}

fn head(status: StatusCode, found: &Found, range: &Range<u64>) -> ApiResult {
    let content = &found.content;
    let value = |text: String| HeaderValue::from_str(&text).map_err(ApiError::internal);
    let mut response = status.into_response();
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_str(&content.content_type);
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, value(found.etag.to_string())?);
    headers.insert(header::LAST_MODIFIED, value(dates::http_date(found.modified_at))?);
    if let Some(sha256) = content.sha256 {
        let digest = base64::engine::general_purpose::STANDARD.encode(sha256.0);
        headers.insert("repr-digest", value(format!("sha-256=:{digest}:"))?);
    }
    // A user's file is shown by a browser as what it says it is and nothing more: it runs no script in this origin.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache, no-transform"));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(header::CONTENT_RANGE, value(content_range(range, content.size))?);
    }
    Ok(response)
}

fn outside(size: u64) -> Response {
    let error =
        ApiError::new(Code::RangeNotSatisfiable, format!("the file has {size} bytes: ask for a range inside it"));
    let mut response = error.into_response();
    if let Ok(value) = HeaderValue::from_str(&unsatisfied_range(size)) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

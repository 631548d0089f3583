//! `/uploads`: files that come in several requests, by tus 1.0.0 (the protocol for resumable uploads that has clients in all
//! languages), and JSON calls beside it. The IETF's draft of the same is not settled, and its clients are few.
//!
//! An upload ends with its last byte, which makes a file of it. One that is gone because it has become a file is told by that
//! file, so that a client which lost the last answer learns of its success.

use axum::Json as ResponseBody;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::App;
use super::auth::Token;
use super::body::{check_codings, checked_content_type, told};
use super::entries::page_size;
use super::linger::linger;
use super::request::{Headers, Json, Query, lock_proof, parse_query, precondition};
use super::routing::content_length;
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::store_file::{Begin, Received, Sending, finish_empty, receive, too_large};
use crate::directory::transfer::condition::ETag;
use crate::directory::transfer::digest::HashState;
use crate::domain::answer::Stat;
use crate::domain::query::{self, Session, UploadStat};
use crate::domain::terms::Purpose;
use crate::domain::{Command, ContentId, Fault, Outcome, Proposal, ReadStore, UserId, command};
use crate::protocol::api;
use crate::protocol::problem::Code;
use crate::protocol::uploads::{
    DEFER_LENGTH, EXPIRES, EXTENSIONS, FILE_ID, Finish, LENGTH, MAX_SIZE, OFFSET, OFFSET_OCTETS, RESUMABLE, SUPPORTED,
    Target, UploadInfo, Uploads, VERSION,
};

mod extents;
mod metadata;
pub(crate) mod parts;

pub(crate) use extents::extents;
use metadata::{Metadata, purpose};

/// How long an upload waits for its client to go on.
const IDLE_MS: u64 = 24 * 60 * 60 * 1000;
const UNDERSTOOD: &str = "creation,creation-with-upload,creation-defer-length,expiration,termination";

/// What a client may ask before it begins.
pub(crate) async fn options(State(node): State<App>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    headers.insert(SUPPORTED, HeaderValue::from_static(VERSION));
    headers.insert(EXTENSIONS, HeaderValue::from_static(UNDERSTOOD));
    headers.insert(MAX_SIZE, HeaderValue::from(node.settings.max_file_bytes));
    tus(response)
}

/// Begins an upload, and takes what the request brings of it.
pub(crate) async fn create(State(node): State<App>, token: Token, request: Request) -> ApiResult {
    let (parts, body) = request.into_parts();
    let (user, upload_id, length) = match begin(&node, &token, &parts).await {
        Ok(begun) => begun,
        Err(error) => {
            linger(body, &parts.headers);
            return Err(error);
        }
    };
    let mut response = StatusCode::CREATED.into_response();
    let brings = parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == OFFSET_OCTETS);
    if brings || length == Some(0) {
        let found = known(&node, user, upload_id).await?;
        let received = take(&node, user, &found, length, body).await?;
        describe_received(&mut response, &received)?;
    } else {
        response.headers_mut().insert(OFFSET, HeaderValue::from(0));
    }
    expires(&mut response, &node, user, upload_id).await?;
    response.headers_mut().insert(header::LOCATION, text(format!("/uploads/{upload_id}"))?);
    Ok(tus(response))
}

async fn begin(node: &App, token: &Token, parts: &Parts) -> ApiResult<(UserId, ContentId, Option<u64>)> {
    let user = node.user(token).await?;
    let headers = &parts.headers;
    check_version(headers)?;
    check_codings(headers)?;
    let metadata = Metadata::read(headers)?;
    let target = metadata.target(parse_query(&parts.uri)?)?;
    let length = number(headers, LENGTH)?;
    if length.is_none() && headers.get(DEFER_LENGTH).is_none_or(|value| value != "1") {
        return Err(ApiError::invalid("the size is not given: send Upload-Length, or Upload-Defer-Length: 1"));
    }
    check_length(node, length)?;
    let asked = Headers::read(headers)?;
    let proof = asked.lock_token(metadata.get("lock_token")).as_deref().map(lock_proof);
    let purpose = purpose(&target, precondition(headers)?, proof)?;
    let content_type = checked_content_type(metadata.content_type())?;
    // The same upload for each attempt under one key.
    let upload_id = match asked.key() {
        Some(key) => {
            let mac = node.secret.mac("upload", &[&user.0.to_be_bytes(), key.as_bytes()]);
            ContentId(u128::from_be_bytes(*mac.first_chunk().unwrap_or(&[0; 16])))
        }
        None => ContentId(node.clock.random_u128()),
    };
    Sending::begin(node, user, Begin { upload_id, content_type, length, idle_ms: IDLE_MS, purpose }).await?;
    Ok((user, upload_id, length))
}

/// How far an upload has come.
pub(crate) async fn head(State(node): State<App>, token: Token, Path(id): Path<String>) -> ApiResult {
    let id = known_id(&node, &token, &id).await?;
    let (_, open, finished) = node.read_as(&token, move |store, session| look(store, session, id)).await?;
    let mut response = StatusCode::OK.into_response();
    match (open, finished) {
        (Ok(found), _) => {
            let headers = response.headers_mut();
            headers.insert(OFFSET, HeaderValue::from(found.offset()));
            match found.upload.length {
                Some(length) => headers.insert(LENGTH, HeaderValue::from(length)),
                None => headers.insert(DEFER_LENGTH, HeaderValue::from_static("1")),
            };
            headers.insert(EXPIRES, http_date(&found)?);
        }
        (Err(_), Some((stat, size))) => {
            let headers = response.headers_mut();
            headers.insert(OFFSET, HeaderValue::from(size));
            headers.insert(LENGTH, HeaderValue::from(size));
            describe_file(&mut response, &stat)?;
        }
        (Err(rejection), None) => return Err(rejection.into()),
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(tus(response))
}

/// The upload, or the file that it has become.
type Looked = (UserId, Result<UploadStat, crate::domain::Rejection>, Option<(Stat, u64)>);

fn look(store: &dyn ReadStore, session: &Session, id: ContentId) -> Result<Looked, Fault> {
    let user = session.user;
    Ok((user, query::upload(store, user, id)?, query::finished(store, user, id)?))
}

/// Takes the next bytes.
pub(crate) async fn patch(
    State(node): State<App>,
    token: Token,
    Path(id): Path<String>,
    request: Request,
) -> ApiResult {
    let (parts, body) = request.into_parts();
    let (user, found, length) = match admit(&node, &token, &id, &parts.headers).await {
        Ok(admitted) => admitted,
        Err(error) => {
            linger(body, &parts.headers);
            return Err(error);
        }
    };
    let received = take(&node, user, &found, length, body).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    describe_received(&mut response, &received)?;
    expires(&mut response, &node, user, found.upload_id).await?;
    Ok(tus(response))
}

async fn admit(
    node: &App,
    token: &Token,
    id: &str,
    headers: &HeaderMap,
) -> ApiResult<(UserId, UploadStat, Option<u64>)> {
    let id = known_id(node, token, id).await?;
    let (user, open, _) = node.read_as(token, move |store, session| look(store, session, id)).await?;
    check_version(headers)?;
    if headers.get(header::CONTENT_TYPE).is_none_or(|value| value != OFFSET_OCTETS) {
        return Err(ApiError::invalid(format!("the body of a PATCH is {OFFSET_OCTETS}: say so in Content-Type")));
    }
    check_codings(headers)?;
    let offset = number(headers, OFFSET)?
        .ok_or_else(|| ApiError::invalid("no Upload-Offset is given: ask for it with HEAD, and go on from there"))?;
    let found = open?;
    if offset != found.offset() {
        return Err(conflict(found.offset()));
    }
    let told = number(headers, LENGTH)?;
    if told.is_some() && found.upload.length.is_some() && told != found.upload.length {
        return Err(ApiError::invalid("this upload has another length: leave Upload-Length out"));
    }
    let length = found.upload.length.or(told);
    check_length(node, length)?;
    let comes = content_length(headers).unwrap_or(0);
    if length.is_some_and(|length| offset.saturating_add(comes) > length) {
        return Err(ApiError::invalid("more bytes come than were announced, and none was taken: send fewer"));
    }
    if let Some(nodes) = node.handle().full_nodes() {
        return Err(ApiError::directory_full(&nodes));
    }
    Ok((user, found, length))
}

fn conflict(offset: u64) -> ApiError {
    ApiError::new(Code::OffsetConflict, format!("this upload is at byte {offset}: go on from there"))
}

async fn take(node: &App, user: UserId, found: &UploadStat, length: Option<u64>, body: Body) -> ApiResult<Received> {
    if length == Some(found.size) {
        let outcome = finish_empty(node, user, found).await?;
        return Ok(Received { offset: found.size, finished: Some(outcome) });
    }
    let mut stream = told(body.into_data_stream());
    match receive(node, user, found, length, &mut stream).await {
        // Another request has added to it meanwhile.
        Err(error) if error.code == Code::VersionConflict => match known(node, user, found.upload_id).await {
            Ok(now) if now.offset() != found.offset() => Err(conflict(now.offset())),
            _ => Err(error),
        },
        received => received,
    }
}

async fn known(node: &App, user: UserId, id: ContentId) -> ApiResult<UploadStat> {
    Ok(node.handle().read(move |store| query::upload(store, user, id)).await??)
}

/// Gives an upload up.
pub(crate) async fn delete(State(node): State<App>, token: Token, Path(id): Path<String>) -> ApiResult {
    let upload_id = known_id(&node, &token, &id).await?;
    let (user, known) = node
        .read_as(&token, move |store, session| Ok((session.user, query::has_upload(store, session.user, upload_id)?)))
        .await?;
    known?;
    let command = command::EndUpload { user, upload_id };
    let outcome = node.propose(Proposal { operation: None, command: command.into() }).await?;
    // There was none any more: an attempt of our own may have ended it, or somebody has finished it meanwhile.
    let ended = matches!(outcome, Outcome::Progress { rows, .. } if rows > 0);
    if !ended && node.handle().read(move |store| query::finished(store, user, upload_id)).await?.is_some() {
        let detail = "this upload has become a file meanwhile, and was not given up: delete the file";
        return Err(ApiError::new(Code::NotFound, detail));
    }
    Ok(tus(StatusCode::NO_CONTENT.into_response()))
}

#[derive(Deserialize)]
pub(crate) struct Page {
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn list(
    State(node): State<App>,
    token: Token,
    Query(asked): Query<Page>,
) -> ApiResult<ResponseBody<Uploads>> {
    let (limit, cursor) = (page_size(asked.limit)?, asked.cursor);
    let page = node
        .list_as(&token, move |store, session| query::uploads(store, session.user, cursor.as_deref(), limit))
        .await??;
    Ok(ResponseBody(Uploads { uploads: page.uploads.iter().map(shown).collect(), next_cursor: page.next }))
}

fn shown(found: &UploadStat) -> UploadInfo {
    let upload = &found.upload;
    let (file_id, at, update) = parts::named(&upload.purpose);
    let part_of = match &upload.purpose {
        Purpose::Part { upload_id, .. } => Some(upload_id.to_string()),
        _ => None,
    };
    UploadInfo {
        upload_id: found.upload_id.to_string(),
        offset: found.offset(),
        length: upload.length,
        stored: found.size,
        sha256: HashState(upload.hash.clone()).digest().map(|digest| digest.to_string()).unwrap_or_default(),
        content_type: upload.content_type.clone(),
        path: at.map(|at| at.path.to_string()),
        owner: at.and_then(|at| at.owner.clone()),
        file_id,
        update,
        parts: upload.parts.map(|parts| parts.count),
        part_of,
        expires_at: view::time(upload.wall_expires_at),
    }
}

/// Makes a file of what has all its bytes: after a refusal, or as another one than it was begun for.
pub(crate) async fn finish(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    request_headers: HeaderMap,
    Json(asked): Json<Finish>,
) -> ApiResult<ResponseBody<api::Stat>> {
    let id = known_id(&node, &token, &asked.upload_id).await?;
    let Finish { file_id, path, owner, update, lock_token, .. } = asked;
    let target = Target { file_id, path, owner, update };
    let condition = precondition(&request_headers)?;
    let proof = headers.lock_token(lock_token.as_deref()).as_deref().map(lock_proof);
    let purpose = if target == Target::default() { None } else { Some(purpose(&target, condition, proof)?) };
    let (user, open, finished) = node.read_as(&token, move |store, session| look(store, session, id)).await?;
    let found = match (open, finished) {
        (Ok(found), _) => found,
        (Err(_), Some((stat, _))) => return Ok(ResponseBody(view::stat(&stat))),
        (Err(rejection), None) => return Err(rejection.into()),
    };
    if found.extents == 0 || !found.upload.tail.is_empty() || found.upload.length.is_some_and(|all| all != found.size) {
        return Err(ApiError::new(
            Code::OffsetConflict,
            format!("the upload is at byte {} and not whole: send what is missing, then finish it", found.offset()),
        ));
    }
    // For the fingerprint: the request, without what differs between two attempts at it.
    let (size, sha256, losses) = (0, None, 0);
    let asked = command::FinishUpload { user, upload_id: id, size, sha256, losses, purpose: purpose.clone() };
    let proposal = headers.proposal(&node, user, Command::FinishUpload(asked));
    match Sending::of(&node, user, &found).finish(purpose, proposal.operation).await? {
        Outcome::Stat(stat) => Ok(ResponseBody(view::stat(&stat))),
        other => Err(view::unexpected(&other)),
    }
}

fn describe_received(response: &mut Response, received: &Received) -> ApiResult<()> {
    response.headers_mut().insert(OFFSET, HeaderValue::from(received.offset));
    match &received.finished {
        Some(Outcome::Stat(stat)) => describe_file(response, stat),
        Some(other) => Err(view::unexpected(other)),
        None => Ok(()),
    }
}

fn describe_file(response: &mut Response, stat: &Stat) -> ApiResult<()> {
    let headers = response.headers_mut();
    headers.insert(FILE_ID, HeaderValue::from(stat.file_id.0));
    if let Some(content) = &stat.content {
        let etag = ETag { file_id: stat.file_id, version: content.version };
        headers.insert(header::ETAG, text(etag.to_string())?);
    }
    Ok(())
}

/// Says when an upload ends, where it has not become a file.
async fn expires(response: &mut Response, node: &App, user: UserId, id: ContentId) -> ApiResult<()> {
    if let Ok(found) = known(node, user, id).await {
        response.headers_mut().insert(EXPIRES, http_date(&found)?);
    }
    Ok(())
}

fn tus(mut response: Response) -> Response {
    response.headers_mut().insert(HeaderName::from_static(RESUMABLE), HeaderValue::from_static(VERSION));
    response
}

fn check_version(headers: &HeaderMap) -> ApiResult<()> {
    match headers.get(RESUMABLE) {
        Some(version) if version == VERSION => Ok(()),
        Some(_) => Err(ApiError::new(Code::VersionConflict, "this node speaks tus 1.0.0: send Tus-Resumable: 1.0.0")),
        None => Err(ApiError::invalid("no Tus-Resumable is given: send Tus-Resumable: 1.0.0")),
    }
}

fn check_length(node: &App, length: Option<u64>) -> ApiResult<()> {
    let max_bytes = node.settings.max_file_bytes;
    if length.is_some_and(|length| length > max_bytes) { Err(too_large(max_bytes)) } else { Ok(()) }
}

fn number(headers: &HeaderMap, name: &str) -> ApiResult<Option<u64>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| ApiError::invalid(format!("{name} is no number of bytes: send one")))
}

/// Who is not logged in does not learn what an id looks like.
async fn known_id(node: &App, token: &Token, text: &str) -> ApiResult<ContentId> {
    match ContentId::parse(text) {
        Some(id) => Ok(id),
        None => {
            node.user(token).await?;
            Err(ApiError::new(Code::NotFound, "there is no such upload: its id is 32 hexadecimal digits"))
        }
    }
}

fn text(value: String) -> ApiResult<HeaderValue> {
    HeaderValue::from_str(&value).map_err(ApiError::internal)
}

fn http_date(found: &UploadStat) -> ApiResult<HeaderValue> {
    let millis = i64::try_from(found.upload.wall_expires_at.0).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    text(printer.timestamp_to_rfc9110_string(&at).map_err(ApiError::internal)?)
}

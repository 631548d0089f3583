//! `/uploads/parts`: files that come in numbered parts, in any order, at any node.

use axum::Json as ResponseBody;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::metadata::purpose;
use super::{Page, known_id, text};
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::http::auth::Token;
use crate::directory::http::body::{announced_digest, check_codings, checked_content_type, told};
use crate::directory::http::entries::page_size;
use crate::directory::http::linger::linger;
use crate::directory::http::request::{Headers, Json, Query, lock_proof, parse_query, precondition};
use crate::directory::http::routing::content_length;
use crate::directory::http::{App, view};
use crate::directory::store_file::{NewPart, begin_parts, complete_parts, put_part};
use crate::domain::query::{self, PartsStat};
use crate::domain::terms::{FileRef, Purpose};
use crate::domain::{ContentId, Sha256, UserId};
use crate::protocol::api;
use crate::protocol::uploads::{BeginParts, CompleteParts, PartInfo, PartsInfo, PartsPage, Target};

pub(crate) async fn begin(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    request_headers: HeaderMap,
    Json(asked): Json<BeginParts>,
) -> ApiResult<Response> {
    let user = node.user(&token).await?;
    let BeginParts { file_id, path, owner, update, content_type, lock_token } = asked;
    let target = Target { file_id, path, owner, update };
    let proof = headers.lock_token(lock_token.as_deref()).as_deref().map(lock_proof);
    let purpose = purpose(&target, precondition(&request_headers)?, proof)?;
    let content_type = checked_content_type(&content_type)?;
    // The same upload for each attempt under one key.
    let upload_id = match headers.key() {
        Some(key) => {
            let mac = node.secret.mac("upload in parts", &[&user.0.to_be_bytes(), key.as_bytes()]);
            ContentId(u128::from_be_bytes(*mac.first_chunk().unwrap_or(&[0; 16])))
        }
        None => ContentId(node.clock.random_u128()),
    };
    let begun = begin_parts(&node, user, upload_id, content_type, purpose).await?;
    let mut response = (StatusCode::CREATED, ResponseBody(shown(&begun))).into_response();
    response.headers_mut().insert(header::LOCATION, text(format!("/uploads/parts/{upload_id}"))?);
    Ok(response)
}

#[derive(Deserialize)]
struct Numbered {
    part: Option<String>,
}

pub(crate) async fn put(
    State(node): State<App>,
    token: Token,
    Path(id): Path<String>,
    request: Request,
) -> ApiResult<ResponseBody<PartInfo>> {
    let (parts, body) = request.into_parts();
    let (user, part) = match admit(&node, &token, &id, &parts).await {
        Ok(admitted) => admitted,
        Err(error) => {
            linger(body, &parts.headers);
            return Err(error);
        }
    };
    let number = part.number;
    let mut stream = told(body.into_data_stream());
    match put_part(&node, user, part, &mut stream).await {
        Ok(stored) => Ok(ResponseBody(PartInfo {
            part: number,
            size: stored.size,
            sha256: stored.sha256.to_string(),
            put_at: None,
        })),
        Err(error) => {
            linger(Body::from_stream(stream), &parts.headers);
            Err(error)
        }
    }
}

async fn admit(node: &App, token: &Token, id: &str, parts: &Parts) -> ApiResult<(UserId, NewPart)> {
    let upload_id = known_id(node, token, id).await?;
    let user = node.user(token).await?;
    check_codings(&parts.headers)?;
    let asked: Numbered = parse_query(&parts.uri)?;
    let number =
        asked.part.as_deref().ok_or_else(|| ApiError::invalid("no part is named: give part=… (1 to 10000)"))?;
    let number: u32 =
        number.parse().map_err(|_| ApiError::invalid("the part has no number: give part=… from 1 to 10000"))?;
    let digest = announced_digest(&parts.headers)?;
    let length = content_length(&parts.headers);
    let comes = length.unwrap_or(0);
    let room = node.handle().read(move |store| query::precheck_part(store, user, upload_id, number, comes)).await??;
    if let Some(nodes) = node.handle().full_nodes() {
        return Err(ApiError::directory_full(&nodes));
    }
    Ok((user, NewPart { upload_id, number, length, digest, room }))
}

pub(crate) async fn list(
    State(node): State<App>,
    token: Token,
    Path(id): Path<String>,
    Query(asked): Query<Page>,
) -> ApiResult<ResponseBody<PartsPage>> {
    let id = known_id(&node, &token, &id).await?;
    let (limit, cursor) = (page_size(asked.limit)?, asked.cursor);
    let page = node
        .list_as(&token, move |store, session| query::parts(store, session.user, id, cursor.as_deref(), limit))
        .await??;
    let parts = page.parts.iter().map(|(number, part)| PartInfo {
        part: *number,
        size: part.size,
        sha256: part.sha256.to_string(),
        put_at: Some(view::time(part.put_at)),
    });
    Ok(ResponseBody(PartsPage { upload: shown(&page.upload), parts: parts.collect(), next_cursor: page.next }))
}

pub(crate) async fn complete(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    request_headers: HeaderMap,
    Path(id): Path<String>,
    Json(asked): Json<CompleteParts>,
) -> ApiResult<ResponseBody<api::Stat>> {
    let upload_id = known_id(&node, &token, &id).await?;
    let user = node.user(&token).await?;
    let CompleteParts { parts, file_id, path, owner, update, lock_token } = asked;
    let target = Target { file_id, path, owner, update };
    let condition = precondition(&request_headers)?;
    let proof = headers.lock_token(lock_token.as_deref()).as_deref().map(lock_proof);
    let purpose = if target == Target::default() { None } else { Some(purpose(&target, condition, proof)?) };
    let list = parts.iter().map(|part| Ok((part.part, digest(part.part, &part.sha256)?)));
    let list = list.collect::<ApiResult<Vec<_>>>()?;
    let stat = complete_parts(&node, user, upload_id, list, purpose).await?;
    Ok(ResponseBody(view::stat(&stat)))
}

fn digest(number: u32, text: &str) -> ApiResult<Sha256> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| {
        ApiError::invalid(format!(
            "the sha256 of part {number} is no digest: give the 64 hexadecimal digits that the part was answered with"
        ))
    })?;
    Ok(Sha256(bytes))
}

fn shown(found: &PartsStat) -> PartsInfo {
    let upload = &found.upload;
    let (file_id, at, update) = named(&upload.purpose);
    PartsInfo {
        upload_id: found.upload_id.to_string(),
        parts: found.parts.count,
        bytes: found.parts.bytes,
        completing: found.parts.completing.is_some(),
        content_type: upload.content_type.clone(),
        path: at.map(|at| at.path.to_string()),
        owner: at.and_then(|at| at.owner.clone()),
        file_id,
        update,
        expires_at: view::time(upload.wall_expires_at),
    }
}

/// What an upload is to become: a file by its id or a path, and whether it is there.
pub(super) fn named(purpose: &Purpose) -> (Option<u64>, Option<&crate::domain::terms::PathRef>, bool) {
    match purpose {
        Purpose::Write(at) => (None, Some(at), false),
        Purpose::Update { file: FileRef::Path(at), .. } => (None, Some(at), true),
        Purpose::Update { file: FileRef::Id(id), .. } => (Some(id.0), None, true),
        Purpose::Restore { .. } | Purpose::Part { .. } => (None, None, false),
    }
}

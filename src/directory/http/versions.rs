//! What files were, and what was deleted: looking at it, and having it back.

use axum::Json as Body;
use axum::extract::State;
use serde::Deserialize;

use super::App;
use super::auth::Token;
use super::entries::page_size;
use super::request::{Headers, Json, Query, file_ref, lock_proof, path, precondition};
use super::view;
use crate::directory::error::ApiResult;
use crate::domain::query;
use crate::domain::{FileId, Outcome, Version, command};
use crate::protocol::api::{FileName, Kind, Stat};
use crate::protocol::versions::{
    Emptied, EmptyTrash, RestoreTrashed, RestoreVersion, Trash, TrashEntry, VersionInfo, Versions,
};

#[derive(Deserialize)]
pub(crate) struct VersionsQuery {
    file_id: Option<u64>,
    path: Option<String>,
    owner: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
pub(crate) struct TrashQuery {
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn versions(
    State(node): State<App>,
    token: Token,
    Query(asked): Query<VersionsQuery>,
) -> ApiResult<Body<Versions>> {
    let limit = page_size(asked.limit)?;
    let file = file_ref(&FileName { file_id: asked.file_id, path: asked.path, owner: asked.owner })?;
    let cursor = asked.cursor;
    let page = node
        .list_as(&token, move |store, session| query::versions(store, session.user, &file, cursor.as_deref(), limit))
        .await??;
    let row = |version: query::VersionStat| VersionInfo {
        version: version.version.0,
        size: version.size,
        sha256: version.sha256.map(|sha256| sha256.to_string()),
        content_type: version.content_type,
        made_by: version.made_by,
        made_at: view::time(version.made_at),
        kept_until: version.kept_until.map(view::time),
    };
    Ok(Body(Versions { versions: page.versions.into_iter().map(row).collect(), next_cursor: page.next }))
}

pub(crate) async fn restore_version(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    request_headers: axum::http::HeaderMap,
    Json(body): Json<RestoreVersion>,
) -> ApiResult<Body<Stat>> {
    let file = file_ref(&body.file)?;
    let precondition = precondition(&request_headers)?;
    let lock = headers.lock_token(body.lock_token.as_deref()).as_deref().map(lock_proof);
    let user = node.user(&token).await?;
    let command = command::RestoreVersion { user, file, version: Version(body.version), precondition, lock };
    node.propose_stat(headers.proposal(&node, user, command.into())).await.map(Body)
}

pub(crate) async fn trash(
    State(node): State<App>,
    token: Token,
    Query(asked): Query<TrashQuery>,
) -> ApiResult<Body<Trash>> {
    let (limit, cursor) = (page_size(asked.limit)?, asked.cursor);
    let page = node
        .list_as(&token, move |store, session| query::trash(store, session.user, cursor.as_deref(), limit))
        .await??;
    let row = |entry: query::TrashStat| TrashEntry {
        file_id: entry.file_id.0,
        path: entry.path.to_string(),
        kind: if entry.size.is_some() { Kind::File } else { Kind::Directory },
        size: entry.size,
        deleted_by: entry.deleted_by,
        deleted_at: view::time(entry.deleted_at),
        kept_until: view::time(entry.kept_until),
    };
    Ok(Body(Trash { entries: page.entries.into_iter().map(row).collect(), next_cursor: page.next }))
}

pub(crate) async fn restore_trashed(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<RestoreTrashed>,
) -> ApiResult<Body<Stat>> {
    let to = body.to.as_deref().map(path).transpose()?;
    let user = node.user(&token).await?;
    let command = command::RestoreTrashed { user, file_id: FileId(body.file_id), to };
    node.propose_stat(headers.proposal(&node, user, command.into())).await.map(Body)
}

pub(crate) async fn empty_trash(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<EmptyTrash>,
) -> ApiResult<Body<Emptied>> {
    let user = node.user(&token).await?;
    let command = command::EmptyTrash { user, file_id: body.file_id.map(FileId) };
    match node.propose(headers.proposal(&node, user, command.into())).await? {
        Outcome::Progress { rows, more } => Ok(Body(Emptied { removed: u64::from(rows), more })),
        other => Err(view::unexpected(&other)),
    }
}

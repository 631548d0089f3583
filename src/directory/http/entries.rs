//! Looking at entries, and changing the tree: everything about files that moves no bytes.

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::App;
use super::auth::Token;
use super::request::{Headers, Json, Query, file_ref, lock_proof, path_ref, precondition};
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::query;
use crate::domain::terms::FileRef;
use crate::domain::{Outcome, Proposal, command};
use crate::protocol::api::{Delete, FileName, Listing, Mkdir, Move, Stat};
use crate::protocol::versions::Copy;

/// Rows of a page where the caller names no limit, and the most that one may ask for.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    file_id: Option<u64>,
    path: Option<String>,
    owner: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
pub(crate) struct AllQuery {
    prefix: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(crate) fn page_size(limit: Option<usize>) -> ApiResult<usize> {
    match limit {
        None => Ok(PAGE),
        Some(limit) if (1..=LARGEST_PAGE).contains(&limit) => Ok(limit),
        Some(_) => Err(ApiError::invalid("limit must be 1 to 1,000: follow next_cursor for more")),
    }
}

pub(crate) async fn stat(State(node): State<App>, token: Token, Query(name): Query<FileName>) -> ApiResult<Body<Stat>> {
    let file = file_ref(&name)?;
    let found = node.read_as(&token, move |store, session| query::stat(store, session.user, &file)).await??;
    Ok(Body(view::stat(&found)))
}

pub(crate) async fn list(
    State(node): State<App>,
    token: Token,
    Query(asked): Query<ListQuery>,
) -> ApiResult<Body<Listing>> {
    let limit = page_size(asked.limit)?;
    let mut name = FileName { file_id: asked.file_id, path: asked.path, owner: asked.owner };
    if name.file_id.is_none() && name.path.is_none() {
        name.path = Some("/".to_owned());
    }
    let (directory, cursor) = (file_ref(&name)?, asked.cursor);
    let page = node
        .list_as(&token, move |store, session| query::list(store, session.user, &directory, cursor.as_deref(), limit))
        .await??;
    Ok(Body(listing(page)))
}

pub(crate) async fn all(
    State(node): State<App>,
    token: Token,
    Query(asked): Query<AllQuery>,
) -> ApiResult<Body<Listing>> {
    let limit = page_size(asked.limit)?;
    let page = node
        .list_as(&token, move |store, session| {
            query::all(store, session.user, asked.prefix.as_deref(), asked.cursor.as_deref(), limit)
        })
        .await??;
    Ok(Body(listing(page)))
}

fn listing(page: query::Page) -> Listing {
    Listing { files: page.stats.iter().map(view::listed).collect(), next_cursor: page.next }
}

pub(crate) async fn mkdir(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<Mkdir>,
) -> ApiResult<(StatusCode, Body<Stat>)> {
    let at = path_ref(&body.path, body.owner.as_deref())?;
    let user = node.user(&token).await?;
    let command = command::Mkdir {
        user,
        at,
        #[cfg(feature = "next-schema")]
        label: None,
    };
    let stat = node.propose_stat(headers.proposal(&node, user, command.into())).await?;
    Ok((StatusCode::CREATED, Body(stat)))
}

pub(crate) async fn r#move(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<Move>,
) -> ApiResult<Body<Stat>> {
    let from = path_ref(&body.from, body.owner.as_deref())?;
    let to = path_ref(&body.to, body.owner.as_deref())?;
    let lock = headers.lock_token(body.lock_token.as_deref());
    let user = node.user(&token).await?;
    let (lock, break_locks) = (lock.as_deref().map(lock_proof), body.break_locks);
    let command = command::Move { user, from: FileRef::Path(from), to, lock, break_locks };
    node.propose_stat(headers.proposal(&node, user, command.into())).await.map(Body)
}

/// No byte is moved: both files name the same content.
pub(crate) async fn copy(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<Copy>,
) -> ApiResult<(StatusCode, Body<Stat>)> {
    let from = file_ref(&body.file)?;
    let to = path_ref(&body.to, body.to_owner.as_deref())?;
    let user = node.user(&token).await?;
    let command = command::CopyFile { user, from, to };
    let stat = node.propose_stat(headers.proposal(&node, user, command.into())).await?;
    Ok((StatusCode::CREATED, Body(stat)))
}

pub(crate) async fn delete(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    request_headers: axum::http::HeaderMap,
    Json(body): Json<Delete>,
) -> ApiResult<StatusCode> {
    let file = file_ref(&body.file)?;
    let precondition = precondition(&request_headers)?;
    let lock = headers.lock_token(body.lock_token.as_deref());
    let user = node.user(&token).await?;
    let recursive = body.recursive;
    let lock = lock.as_deref().map(lock_proof);
    let (permanently, break_locks) = (body.permanently, body.break_locks);
    let command = command::Delete { user, file, recursive, precondition, lock, permanently, break_locks };
    node.propose(headers.proposal(&node, user, command.into())).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl super::Node {
    /// Proposes what answers with an entry.
    pub(crate) async fn propose_stat(&self, proposal: Proposal) -> ApiResult<Stat> {
        match self.propose(proposal).await? {
            Outcome::Stat(stat) => Ok(view::stat(&stat)),
            other => Err(view::unexpected(&other)),
        }
    }
}

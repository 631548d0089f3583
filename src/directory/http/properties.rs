//! What users say of an entry, by names of their own.

use axum::Json as Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::App;
use super::auth::Token;
use super::request::{Headers, Json, Query, file_ref, lock_proof, precondition};
use crate::directory::error::ApiResult;
use crate::domain::{command, query, rows};
use crate::protocol::api::FileName;
use crate::protocol::properties::{Properties, Property, SetProperties};

pub(crate) async fn list(
    State(node): State<App>,
    token: Token,
    Query(name): Query<FileName>,
) -> ApiResult<Body<Properties>> {
    let file = file_ref(&name)?;
    let found = node.read_as(&token, move |store, session| query::properties(store, session.user, &file)).await??;
    let shown = |property: rows::Property| Property { name: property.name, value: property.value };
    Ok(Body(Properties { file_id: found.file_id.0, properties: found.properties.into_iter().map(shown).collect() }))
}

pub(crate) async fn set(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    request_headers: HeaderMap,
    Json(body): Json<SetProperties>,
) -> ApiResult<StatusCode> {
    let file = file_ref(&body.file)?;
    let precondition = precondition(&request_headers)?;
    let lock = headers.lock_token(body.lock_token.as_deref()).as_deref().map(lock_proof);
    let user = node.user(&token).await?;
    let taken = |property: Property| rows::Property { name: property.name, value: property.value };
    let set = body.set.into_iter().map(taken).collect();
    let command = command::SetProperties { user, file, set, remove: body.remove, precondition, lock };
    // Before a megabyte of it is in the log.
    command.check()?;
    node.propose(headers.proposal(&node, user, command.into())).await?;
    Ok(StatusCode::NO_CONTENT)
}

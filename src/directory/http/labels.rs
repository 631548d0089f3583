//! The calls of the example of a next schema (`domain::command::Label`).

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Token;
use super::request::{Json, Query, file_ref, path_ref};
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::{Proposal, command, query};
use crate::protocol::api::FileName;

#[derive(Deserialize)]
pub(crate) struct Set {
    path: String,
    label: String,
}

#[derive(Serialize)]
pub(crate) struct Shown {
    label: Option<String>,
}

pub(crate) async fn set(State(node): State<App>, token: Token, Json(asked): Json<Set>) -> ApiResult<StatusCode> {
    let file = file_ref(&FileName { file_id: None, path: Some(asked.path), owner: None })?;
    let user = node.user(&token).await?;
    let command = command::Label { user, file, text: asked.label }.into();
    node.propose(Proposal { operation: None, command }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn show(
    State(node): State<App>,
    token: Token,
    Query(name): Query<FileName>,
) -> ApiResult<Body<Shown>> {
    let file = file_ref(&name)?;
    let label = node.read_as(&token, move |store, session| query::label(store, session.user, &file)).await?;
    Ok(Body(Shown { label: label.map_err(ApiError::from)? }))
}

/// A directory with a label: the example of a field that came later.
pub(crate) async fn mkdir(State(node): State<App>, token: Token, Json(asked): Json<Set>) -> ApiResult<StatusCode> {
    let at = path_ref(&asked.path, None)?;
    let user = node.user(&token).await?;
    let command = command::Mkdir { user, at, label: Some(asked.label) }.into();
    node.propose(Proposal { operation: None, command }).await?;
    Ok(StatusCode::CREATED)
}

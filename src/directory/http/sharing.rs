//! Grants: what one user lets another do with a file or a whole directory.

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::auth::Token;
use super::request::{Headers, Json, file_ref, known_length};
use super::view;
use crate::directory::error::ApiResult;
use crate::domain::{Outcome, Permission, command};
use crate::protocol::accounts::LeaveShare;
use crate::protocol::api::{Granted, Share, SharePermission, Unshare};

pub(crate) async fn share(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<Share>,
) -> ApiResult<Body<Granted>> {
    known_length(&body.username)?;
    let file = file_ref(&body.file)?;
    let permission = match body.permission {
        SharePermission::Read => Permission::Read,
        SharePermission::Write => Permission::Write,
    };
    let user = node.user(&token).await?;
    let command = command::Share { user, file, with: body.username, permission };
    match node.propose(headers.proposal(&node, user, command.into())).await? {
        Outcome::Granted { file_id, username, permission } => {
            Ok(Body(Granted { file_id: file_id.0, username, permission: view::permission(permission) }))
        }
        other => Err(view::unexpected(&other)),
    }
}

pub(crate) async fn unshare(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<Unshare>,
) -> ApiResult<StatusCode> {
    known_length(&body.username)?;
    let file = file_ref(&body.file)?;
    let user = node.user(&token).await?;
    let command = command::Unshare { user, file, with: body.username };
    node.propose(headers.proposal(&node, user, command.into())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The receiver's side of `unshare`.
pub(crate) async fn leave(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<LeaveShare>,
) -> ApiResult<StatusCode> {
    let file = file_ref(&body.file)?;
    let user = node.user(&token).await?;
    node.propose(headers.proposal(&node, user, command::LeaveShare { user, file }.into())).await?;
    Ok(StatusCode::NO_CONTENT)
}

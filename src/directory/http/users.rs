//! What an admin does with other accounts.

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::auth::Token;
use super::request::{Headers, Json, known_length};
use super::usage::{nobody, user_info};
use super::view;
use crate::directory::error::ApiResult;
use crate::domain::{Asked, Command, Proposal, Sha256, UserId, WallTime, command, query};
use crate::protocol::accounts::{AddUser, RemoveUser, ResetUser, SetUser, UserCode};
use crate::protocol::setup::SetupCode;
use crate::protocol::versions::UserInfo;

/// How long a user has to set a password.
const CODE_TTL_MS: u64 = 7 * 24 * 60 * 60 * 1000;

pub(crate) async fn add(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<AddUser>,
) -> ApiResult<Response> {
    known_length(&body.username)?;
    let make =
        |user, username, code_hash| command::AddAccount { user, username, code_hash, ttl_ms: CODE_TTL_MS }.into();
    let code = with_code(&node, &token, &headers, body.username, make).await?;
    Ok((StatusCode::CREATED, code).into_response())
}

pub(crate) async fn reset(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<ResetUser>,
) -> ApiResult<Body<UserCode>> {
    known_length(&body.username)?;
    let make =
        |user, username, code_hash| command::ResetPassword { user, username, code_hash, ttl_ms: CODE_TTL_MS }.into();
    with_code(&node, &token, &headers, body.username, make).await
}

/// The code follows from the operation, as a lock token does: a repeat is answered with the same one, though only its hash
/// is stored.
async fn with_code(
    node: &App,
    token: &Token,
    headers: &Headers,
    username: String,
    make: impl FnOnce(UserId, String, Sha256) -> Command,
) -> ApiResult<Body<UserCode>> {
    let (admin, ()) = node.ask_as_admin(token, |_| Ok(())).await?;
    let name = headers.name(node);
    let mac = node.secret.mac("one-time code", &[&admin.0.to_be_bytes(), name.id.as_bytes(), username.as_bytes()]);
    let code = SetupCode::from_mac(&mac).to_string();
    let command = make(admin, username.clone(), Token::of(&code).hash());
    let operation = Some(name.operation(node, admin, &Asked::change(command.clone())));
    node.propose(Proposal { operation, command }).await?;
    tracing::info!(%admin, "an admin has given a user a one-time code");
    let expires_at = view::time(WallTime(node.clock.agreed_ms().saturating_add(CODE_TTL_MS)));
    Ok(Body(UserCode { username, code, expires_at }))
}

pub(crate) async fn set(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<SetUser>,
) -> ApiResult<Body<UserInfo>> {
    known_length(&body.username)?;
    let (user, ()) = node.ask_as_admin(&token, |_| Ok(())).await?;
    let SetUser { username, disabled, admin } = body;
    let command = command::SetAccount { user, username: username.clone(), disabled, admin }.into();
    node.command_once(&headers, user, command).await?;
    tracing::info!(admin = %user, ?disabled, is_admin = ?admin, "an admin has changed an account");
    shown(&node, username).await
}

pub(crate) async fn remove(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<RemoveUser>,
) -> ApiResult<Response> {
    known_length(&body.username)?;
    body.heir.as_deref().map_or(Ok(()), known_length)?;
    let (user, ()) = node.ask_as_admin(&token, |_| Ok(())).await?;
    let RemoveUser { username, heir } = body;
    let command = command::RemoveAccount { user, username: username.clone(), heir }.into();
    node.command_once(&headers, user, command).await?;
    tracing::info!(admin = %user, "an admin has an account removed");
    // An account that had next to nothing may be gone by now.
    match node.handle().read(move |store| query::user_stat(store, &username)).await? {
        Some(user) => Ok((StatusCode::ACCEPTED, Body(user_info(user))).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

async fn shown(node: &App, username: String) -> ApiResult<Body<UserInfo>> {
    let user = node.handle().read(move |store| query::user_stat(store, &username)).await?;
    Ok(Body(user_info(user.ok_or_else(nobody)?)))
}

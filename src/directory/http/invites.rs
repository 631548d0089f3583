//! Invitations: an admin gives one away, and whoever has it makes one account.

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::auth::Token;
use super::request::{Headers, Json};
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::{Asked, Command, Outcome, Proposal, command, query};
use crate::protocol::accounts::{InviteInfo, Invites, MadeInvite, MakeInvite, RevokeInvite};
use crate::protocol::parse_sha256;

const DEFAULT_TTL_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The invitation follows from the operation, as a lock token does: a repeat is answered with the same one, though only its
/// hash is stored.
pub(crate) async fn make(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<MakeInvite>,
) -> ApiResult<Response> {
    let (user, ()) = node.ask_as_admin(&token, |_| Ok(())).await?;
    let name = headers.name(&node);
    let invite = hex::encode(&node.secret.mac("invite", &[&user.0.to_be_bytes(), name.id.as_bytes()])[..20]);
    let hash = Token::of(&invite).hash();
    let ttl_ms = body.ttl_ms.unwrap_or(DEFAULT_TTL_MS);
    let command = Command::MakeInvite(command::MakeInvite { user, hash, ttl_ms });
    let operation = name.operation(&node, user, &Asked::change(command.clone()));
    let outcome = node.propose(Proposal { operation: Some(operation), command }).await?;
    let Outcome::Session { expires_at } = outcome else { return Err(view::unexpected(&outcome)) };
    tracing::info!(%user, "an admin has made an invitation");
    let made = MadeInvite { invite, invite_id: hash.to_string(), expires_at: view::time(expires_at) };
    Ok((StatusCode::CREATED, Body(made)).into_response())
}

pub(crate) async fn list(State(node): State<App>, token: Token) -> ApiResult<Body<Invites>> {
    let found = node.list_as_admin(&token, query::invites).await?;
    let row = |(hash, invite, made_by): (crate::domain::Sha256, crate::domain::rows::Invite, String)| InviteInfo {
        invite_id: hash.to_string(),
        made_by,
        expires_at: view::time(invite.wall_expires_at),
    };
    Ok(Body(Invites { invites: found.into_iter().map(row).collect() }))
}

pub(crate) async fn revoke(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<RevokeInvite>,
) -> ApiResult<StatusCode> {
    let (user, ()) = node.ask_as_admin(&token, |_| Ok(())).await?;
    let hash = parse_sha256(&body.invite_id).ok_or_else(|| {
        ApiError::invalid("invite_id is 64 hexadecimal digits: GET /admin/invites lists those that stand")
    })?;
    node.command_once(&headers, user, command::RevokeInvite { user, hash }.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

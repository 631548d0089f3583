//! `/join`: a machine becomes known by its key. And the tokens that it needs for that, which an admin may ask for.

use std::time::Duration;

use axum::Json as Body;
use axum::extract::{Request, State};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::App;
use super::auth::Token;
use super::request::Json;
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::{Command, TokenId, WallTime, command, query};
use crate::protocol::admin::{JoinTokenAsked, JoinTokenMade};
use crate::protocol::join::{JoinAnswer, JoinRequest, JoinToken, MAX_JOIN_BYTES, TokenError};
use crate::protocol::problem::Code;
use crate::trust::Identity;

/// Machines that may be asking at once: they are strangers until they have shown their tokens.
pub(crate) const MOST: usize = 16;
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How long a join token holds where nobody says otherwise.
const USUAL_TTL_MS: u64 = 60 * 60 * 1000;
const LONGEST_TTL_MS: u64 = 30 * 24 * 3600 * 1000;

/// A certificate for a key that is known, and with a token for one that is not. The certificate is no secret: only who has
/// the key can show it. So a server whose certificate has ended gets another one by the same call, whatever its clock says.
pub(crate) async fn join(State(node): State<App>, request: Request) -> ApiResult<Body<JoinAnswer>> {
    let Ok(_place) = node.joining.try_acquire() else {
        return Err(ApiError::new(Code::Overloaded, "many machines join at once: try again in a moment"));
    };
    let body = axum::body::to_bytes(request.into_body(), MAX_JOIN_BYTES);
    let body = tokio::time::timeout(BODY_DEADLINE, body).await;
    let body = body.ok().and_then(Result::ok).ok_or_else(|| {
        ApiError::invalid(format!("send at most {MAX_JOIN_BYTES} bytes, within {} s", BODY_DEADLINE.as_secs()))
    })?;
    let asked: JoinRequest = serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid(format!("send the JSON that this call asks for: {error}")))?;
    let uuid = asked.uuid;
    let known = node.handle().read(move |store| query::member_key(store, uuid)).await?;
    if known != Some(asked.key) {
        let Some(token) = &asked.token else {
            return Err(ApiError::new(
                Code::Forbidden,
                "the cluster does not know this file server by its key: give it a join token in `cluster.join_token_file` (`ringmaster join-token`)",
            ));
        };
        let token = token.verify(&node.secret, node.clock.agreed_ms()).map_err(refused)?;
        if token.replaces.is_some_and(|replaced| replaced != uuid) {
            let detail = "this join token is for another file server to have a new key: make one for this server";
            return Err(ApiError::new(Code::Forbidden, detail));
        }
        let command = command::AdmitKey {
            token: token.id,
            ttl_ms: token.ends_ms.saturating_sub(node.clock.agreed_ms()).max(1),
            uuid,
            key: asked.key,
            replaces: token.replaces.is_some(),
        };
        node.command(Command::AdmitKey(command)).await?;
        tracing::info!(%uuid, key = %asked.key, token = %token.id, "a file server has joined");
    }
    let identity = Identity::FileServer(uuid);
    let certificate = node.certificates.authority.issue(identity, asked.key, node.clock.agreed_ms());
    let certificate = certificate.map_err(|error| ApiError::internal("no certificate could be made").because(error))?;
    Ok(Body(JoinAnswer {
        certificate: BASE64_STANDARD.encode(certificate),
        capabilities: node.certificates.capabilities.public(),
        now_ms: node.agreed_ms(),
    }))
}

fn refused(error: TokenError) -> ApiError {
    ApiError::new(Code::Forbidden, error.to_string())
}

/// An admin makes a token without the secret being copied to where he sits.
pub(crate) async fn make_token(
    State(node): State<App>,
    token: Token,
    Json(asked): Json<JoinTokenAsked>,
) -> ApiResult<Body<JoinTokenMade>> {
    node.read_as_admin(&token, |_| Ok(())).await?;
    let ttl_ms = asked.ttl_ms.unwrap_or(USUAL_TTL_MS);
    if !(1000..=LONGEST_TTL_MS).contains(&ttl_ms) {
        return Err(ApiError::invalid("a join token holds for a second to 30 days: give ttl_ms within that"));
    }
    let ends_ms = node.clock.agreed_ms().saturating_add(ttl_ms);
    let made = JoinToken {
        authority: node.certificates.authority.public(),
        id: TokenId(node.clock.random_u128()),
        ends_ms,
        replaces: asked.replace,
    };
    tracing::info!(token = %made.id, ttl_ms, "a join token was made");
    Ok(Body(JoinTokenMade { token: made.sign(&node.secret), expires_at: view::time(WallTime(ends_ms)) }))
}

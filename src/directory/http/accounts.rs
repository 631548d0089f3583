//! Accounts and logins.

use std::convert::Infallible;
use std::time::Instant;

use axum::Json as Body;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::App;
use super::auth::{Token, restoring};
use super::request::{Headers, LONGEST_NAME, StrangersJson};
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::query;
use crate::domain::{Asked, Command, Outcome, Proposal, ReadStore, UserId, command};
use crate::listener::{Block, Origin};
use crate::protocol::api::{Account, Credentials, Login};
use crate::protocol::problem::Code;

/// Bounds of a password, in bytes. The upper one keeps the hash's cost bounded.
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 8..=1024;
/// The owner of operations that nobody is logged in for: ids of users start at 1.
const NOBODY: UserId = UserId(0);

pub(crate) async fn signup(
    State(node): State<App>,
    headers: Headers,
    StrangersJson(body): StrangersJson<Credentials>,
) -> ApiResult<Response> {
    if !PASSWORD_BYTES.contains(&body.password.len()) {
        return Err(ApiError::invalid("the password must have 8 to 1,024 bytes: choose another"));
    }
    check_name(&body.username)?;
    let asked = Asked::Signup { username: body.username.clone(), password: body.password.clone() };
    let operation = headers.signup_name(&node, &body.username).operation(&node, NOBODY, &asked);
    let password_hash = node.passwords.hash(body.password, node.clock.random()).await?;
    let command = Command::Signup(command::Signup { username: body.username, password_hash });
    let outcome = node.propose(Proposal { operation: Some(operation), command }).await?;
    let Outcome::User { user_id, username, .. } = outcome else { return Err(view::unexpected(&outcome)) };
    Ok((StatusCode::CREATED, Body(Account { user_id: user_id.0, username })).into_response())
}

/// No text of any length goes into the log: the cluster's own rule is checked here, before the work, and by `apply`.
fn check_name(username: &str) -> ApiResult<()> {
    if username.len() > LONGEST_NAME {
        return Err(ApiError::invalid("the username is longer than 64 bytes: choose a shorter one"));
    }
    Ok(())
}

/// Where a request comes from.
pub(crate) struct From(Option<Block>);

impl FromRequestParts<App> for From {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<Origin>().map(|origin| Block::of(origin.address))))
    }
}

pub(crate) async fn login(
    State(node): State<App>,
    From(from): From,
    StrangersJson(body): StrangersJson<Credentials>,
) -> ApiResult<Response> {
    check_name(&body.username)?;
    let guess = node.guesses.begin(&body.username, from, Instant::now())?;
    let name = body.username.clone();
    let look = move |store: &dyn ReadStore| Ok((query::user_by_name(store, &name)?, query::is_restoring(store)?));
    let (user, is_restoring) = node.handle().read(look).await?;
    if is_restoring {
        return Err(restoring());
    }
    let stored = user.as_ref().map(|user| user.password_hash.clone());
    let right = node.passwords.is_right(body.password, stored).await?;
    guess.ends(right, Instant::now());
    let Some(user) = user.filter(|_| right) else {
        return Err(ApiError::new(Code::Unauthenticated, "the username or the password is wrong: check both"));
    };
    let token = hex::encode(node.clock.random::<32>());
    let command =
        Command::OpenSession(command::OpenSession { user: user.user_id, token_hash: Token::of(&token).hash() });
    let outcome = node.propose(Proposal { operation: None, command }).await?;
    let Outcome::Session { expires_at } = outcome else { return Err(view::unexpected(&outcome)) };
    Ok(Body(Login { token, user_id: user.user_id.0, expires_at: view::time(expires_at) }).into_response())
}

pub(crate) async fn logout(State(node): State<App>, token: Token) -> ApiResult<StatusCode> {
    node.user(&token).await?;
    node.propose(Proposal {
        operation: None,
        command: Command::CloseSession(command::CloseSession { token_hash: token.hash() }),
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

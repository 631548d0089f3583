//! A user's own sessions and password.

use std::time::Instant;

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::accounts::From;
use super::auth::Token;
use super::request::{Headers, Json};
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::strength::check_password;
use crate::domain::query::{self, SessionStat};
use crate::domain::rows::NO_PASSWORD;
use crate::domain::terms::PasswordProof;
use crate::domain::{Asked, Command, Proposal, command};
use crate::protocol::accounts::{ChangePassword, EndSessions, SessionInfo, Sessions};
use crate::protocol::problem::Code;

pub(crate) async fn list(State(node): State<App>, token: Token) -> ApiResult<Body<Sessions>> {
    let floor = node.handle().cluster_time();
    let (found, own) = node
        .read_as(&token, move |store, session| Ok((query::sessions(store, session.user, floor)?, session.mark)))
        .await?;
    let row = |SessionStat { mark, token }: SessionStat| SessionInfo {
        session_id: hex::encode(mark),
        created_at: view::time(token.wall_created_at),
        seen_at: view::time(token.wall_seen_at),
        expires_at: view::time(token.wall_expires_at),
        from: token.from,
        agent: token.agent,
        current: mark == own,
    };
    Ok(Body(Sessions { sessions: found.into_iter().map(row).collect() }))
}

pub(crate) async fn end(State(node): State<App>, token: Token, Json(body): Json<EndSessions>) -> ApiResult<StatusCode> {
    let command = match (&body.session_id, body.others, body.all) {
        (Some(id), false, false) => {
            let gone =
                || ApiError::new(Code::NotFound, "you have no such session: GET /sessions lists those that you have");
            let mut mark = [0; 16];
            hex::decode_to_slice(id, &mut mark).map_err(|_| gone())?;
            let floor = node.handle().cluster_time();
            let found = node
                .read_as(&token, move |store, session| query::session_called(store, session.user, &mark, floor))
                .await?;
            Command::CloseSession(command::CloseSession { token_hash: found.ok_or_else(gone)? })
        }
        (None, true, false) | (None, false, true) => {
            let user = node.user(&token).await?;
            let keep = body.others.then(|| token.hash());
            Command::EndSessions(command::EndSessions { user, keep })
        }
        _ => return Err(ApiError::invalid("say which sessions end: send session_id, or others, or all")),
    };
    node.command(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn change_password(
    State(node): State<App>,
    From(from): From,
    token: Token,
    headers: Headers,
    Json(body): Json<ChangePassword>,
) -> ApiResult<StatusCode> {
    let asked = Asked::Password { old: body.old_password.clone(), new: body.new_password.clone() };
    let name = headers.name(&node);
    let id = name.id.clone();
    let look = move |store: &dyn crate::domain::ReadStore, session: &query::Session| {
        let again = query::operation(store, session.user, &id)?.is_some();
        Ok((query::user_by_id(store, session.user)?, again))
    };
    let (user, again) = node.read_as(&token, look).await?;
    let user = user.ok_or_else(|| ApiError::new(Code::Unauthenticated, "there is no such account: log in again"))?;
    check_password(&body.new_password, &user.username)?;
    // A repeat is answered as the first was, though its old password is not right any more. Whoever has stolen a session
    // guesses no better than a stranger.
    if !again {
        let guess = node.guesses.begin(&user.username, from, Instant::now())?;
        let stored = Some(user.password_hash.clone()).filter(|hash| hash != NO_PASSWORD);
        let right = node.passwords.is_right(body.old_password, stored).await?;
        guess.ends(right, Instant::now());
        if !right {
            return Err(ApiError::new(Code::Forbidden, "the old password is wrong: send the one that holds now"));
        }
    }
    let password_hash = node.passwords.hash(body.new_password, node.clock.random()).await?;
    let operation = Some(name.operation(&node, user.user_id, &asked));
    let (proof, keep) = (PasswordProof::Known(user.password_hash), Some(token.hash()));
    let command = command::SetPassword { user: user.user_id, password_hash, proof, keep }.into();
    node.propose(Proposal { operation, command }).await?;
    tracing::info!(user_id = %user.user_id, "a user has changed the password");
    Ok(StatusCode::NO_CONTENT)
}

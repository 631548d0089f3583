//! How much there is of whom, and how much there may be.

use axum::Json as Body;
use axum::extract::State;
use serde::Deserialize;

use super::App;
use super::auth::Token;
use super::entries::page_size;
use super::request::{Headers, Json, Query, known_length};
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::query::{self, UsageStat, UserStat};
use crate::domain::{Command, command};
use crate::protocol::problem::Code;
use crate::protocol::versions::{Quota, Usage, UserInfo, Users};

#[derive(Deserialize)]
pub(crate) struct UsersQuery {
    username: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn usage(State(node): State<App>, token: Token) -> ApiResult<Body<Usage>> {
    Ok(Body(shown(&node.read_as(&token, |store, session| query::usage(store, session.user)).await?)))
}

pub(crate) async fn users(
    State(node): State<App>,
    token: Token,
    Query(asked): Query<UsersQuery>,
) -> ApiResult<Body<Users>> {
    let limit = page_size(asked.limit)?;
    if let Some(username) = asked.username {
        known_length(&username)?;
        let user = node.read_as_admin(&token, move |store| query::user_stat(store, &username)).await?;
        return Ok(Body(Users { users: vec![user_info(user.ok_or_else(nobody)?)], next_cursor: None }));
    }
    let cursor = asked.cursor;
    let page = node.list_as_admin(&token, move |store| query::users(store, cursor.as_deref(), limit)).await??;
    Ok(Body(Users { users: page.users.into_iter().map(user_info).collect(), next_cursor: page.next }))
}

pub(crate) async fn set_quota(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(asked): Json<Quota>,
) -> ApiResult<Body<UserInfo>> {
    known_length(&asked.username)?;
    let name = asked.username.clone();
    let (admin, user) = node.ask_as_admin(&token, move |store| query::user_by_name(store, &name)).await?;
    let user = user.ok_or_else(nobody)?.user_id;
    let Quota { username, max_bytes, max_files } = asked;
    let command = Command::SetQuota(command::SetQuota { user, max_bytes, max_files });
    node.command_once(&headers, admin, command).await?;
    tracing::info!(user_id = user.0, ?max_bytes, ?max_files, "an admin has set a user's quota");
    let user = node.read_as_admin(&token, move |store| query::user_stat(store, &username)).await?;
    Ok(Body(user_info(user.ok_or_else(nobody)?)))
}

fn shown(usage: &UsageStat) -> Usage {
    Usage { bytes: usage.bytes, files: usage.files, max_bytes: usage.max_bytes, max_files: usage.max_files }
}

pub(super) fn user_info(user: UserStat) -> UserInfo {
    UserInfo {
        user_id: user.user_id.0,
        username: user.username,
        admin: user.admin,
        created_at: view::time(user.created_at),
        usage: shown(&user.usage),
        max_bytes: user.max_bytes,
        max_files: user.max_files,
        disabled: user.disabled,
        heir: user.heir,
    }
}

pub(super) fn nobody() -> ApiError {
    ApiError::new(Code::NotFound, "there is no user of that name: see `ringmaster users`, or GET /admin/users")
}

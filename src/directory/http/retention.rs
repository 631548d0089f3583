//! For how long directories keep what is below them.

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;

use super::App;
use super::auth::Token;
use super::request::{Headers, Json, Query, file_ref};
use crate::directory::error::ApiResult;
use crate::domain::command;
use crate::domain::query::{self, RetentionStat};
use crate::protocol::api::FileName;
use crate::protocol::retention::{OwnRetention, Retained, Retention, Retentions, SetRetention};

pub(crate) async fn show(
    State(node): State<App>,
    token: Token,
    Query(name): Query<FileName>,
) -> ApiResult<Body<Retention>> {
    let file = file_ref(&name)?;
    let found = node.read_as(&token, move |store, session| query::retention(store, session.user, &file)).await??;
    Ok(Body(shown(found)))
}

pub(crate) async fn all(State(node): State<App>, token: Token) -> ApiResult<Body<Retentions>> {
    let found = node.list_as(&token, |store, session| query::retentions(store, session.user)).await??;
    Ok(Body(Retentions { directories: found.into_iter().map(shown).collect() }))
}

pub(crate) async fn set(
    State(node): State<App>,
    token: Token,
    headers: Headers,
    Json(body): Json<SetRetention>,
) -> ApiResult<StatusCode> {
    let SetRetention { file_id, path, owner, versions_keep, versions_ms, trash_ms } = body;
    let directory = file_ref(&FileName { file_id, path, owner })?;
    let user = node.user(&token).await?;
    let command = command::SetRetention { user, directory, versions_keep, versions_ms, trash_ms };
    node.propose(headers.proposal(&node, user, command.into())).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(stat: RetentionStat) -> Retention {
    let own = stat.own;
    Retention {
        file_id: stat.file_id.0,
        path: stat.path.to_string(),
        own: OwnRetention { versions_keep: own.versions_keep, versions_ms: own.versions_ms, trash_ms: own.trash_ms },
        effective: Retained {
            versions_keep: stat.versions_keep,
            versions_ms: stat.versions_ms,
            trash_ms: stat.trash_ms,
        },
    }
}

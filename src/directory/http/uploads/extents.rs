//! `/extents`: where the bytes of a file are.

use axum::Json as ResponseBody;
use axum::extract::State;
use serde::Deserialize;

use crate::directory::error::ApiResult;
use crate::directory::http::App;
use crate::directory::http::auth::Token;
use crate::directory::http::entries::page_size;
use crate::directory::http::request::{Query, file_ref};
use crate::domain::query::{self, ExtentStat};
use crate::protocol::api::{FileName, ReplicaInfo, ReplicaRole};
use crate::protocol::uploads::{ExtentInfo, Extents};

#[derive(Deserialize)]
pub(crate) struct ExtentsQuery {
    file_id: Option<u64>,
    path: Option<String>,
    owner: Option<String>,
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(crate) async fn extents(
    State(node): State<App>,
    token: Token,
    Query(asked): Query<ExtentsQuery>,
) -> ApiResult<ResponseBody<Extents>> {
    let limit = page_size(asked.limit)?;
    let file = file_ref(&FileName { file_id: asked.file_id, path: asked.path, owner: asked.owner })?;
    let cursor = asked.cursor;
    let page = node
        .list_as(&token, move |store, session| {
            query::file_extents(store, session.user, &file, cursor.as_deref(), limit)
        })
        .await??;
    Ok(ResponseBody(Extents { extents: page.extents.iter().map(shown).collect(), next_cursor: page.next }))
}

fn shown(found: &ExtentStat) -> ExtentInfo {
    let counts = |id| found.counted.contains(&id);
    let replicas = &found.extent.replicas;
    let primary = replicas.iter().position(|replica| counts(replica.server_id)).unwrap_or(0);
    let role = |at| if at == primary { ReplicaRole::Primary } else { ReplicaRole::Backup };
    let replicas = replicas.iter().enumerate().map(|(at, replica)| ReplicaInfo {
        server_id: replica.server_id.0,
        role: role(at),
        counts: counts(replica.server_id),
    });
    ExtentInfo {
        offset: found.offset,
        size: found.extent.size,
        sha256: found.extent.sha256.to_string(),
        replicas: replicas.collect(),
    }
}

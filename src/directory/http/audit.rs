//! Who did what, for admins to see.

use axum::Json as Body;
use axum::extract::State;

use super::App;
use super::auth::Token;
use super::request::Query;
use super::view;
use crate::directory::error::ApiResult;
use crate::domain::query;
use crate::protocol::accounts::{Audit, AuditEntry, AuditQuery};

const DEFAULT_PAGE: u32 = 100;

pub(crate) async fn audit(
    State(node): State<App>,
    token: Token,
    Query(asked): Query<AuditQuery>,
) -> ApiResult<Body<Audit>> {
    let limit = usize::try_from(asked.limit.unwrap_or(DEFAULT_PAGE)).unwrap_or(usize::MAX);
    let from = asked.from.unwrap_or_default();
    let page = node.list_as_admin(&token, move |store| query::audit(store, from, limit)).await?;
    let entry = |stat: query::AuditStat| AuditEntry {
        number: stat.number,
        at: view::time(stat.row.wall),
        by: stat.by,
        what: stat.row.what,
        on: stat.row.on,
        detail: stat.row.detail,
        from: stat.row.from,
        hash: stat.hash.to_string(),
    };
    Ok(Body(Audit { entries: page.rows.into_iter().map(entry).collect(), next: page.next }))
}

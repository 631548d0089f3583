//! `/restore/…`: a new cluster is made from a backup. What may come, and when, is `apply`'s to say; here bytes find their
//! file servers, by the same way as in a write.

use axum::Json as ResponseBody;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use super::App;
use super::body;
use super::callers::Operator;
use super::linger::linger;
use super::request::{Json, parse_query};
use super::routing::content_length;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::store_file::{Incoming, StoreFile, too_large};
use crate::domain::query;
use crate::domain::restored;
use crate::domain::terms::{MAX_RESTORED, Purpose, RestoredRow};
use crate::domain::{ClusterTime, Command, ContentId, Sha256, Table, UserId, command};
use crate::protocol::restore::{Came, Content, Contents, Done, Rows, State as Stage, Status};

/// Contents that are asked about at once.
const MAX_ASKED: usize = 1000;

pub(crate) async fn status(State(node): State<App>, _: Operator) -> ApiResult<ResponseBody<Status>> {
    let look = |store: &dyn crate::domain::ReadStore| {
        let schema_version = query::schema(store)?.map_or(0, |schema| schema.0);
        Ok((query::cluster_info(store)?, query::restore(store)?, query::is_unused(store)?, schema_version))
    };
    let (cluster, restore, unused, schema_version) = node.handle().read(look).await?;
    let cluster = cluster.ok_or_else(ApiError::no_leader)?;
    let state = match restore {
        Some(restore) if restore.done => Stage::Restored,
        Some(_) => Stage::Restoring,
        None if unused => Stage::New,
        None => Stage::InUse,
    };
    let came = restore.as_ref().map(|restore| Came {
        entries: restore.entries,
        users: restore.users,
        grants: restore.grants,
        contents: restore.contents,
        versions: restore.versions,
        trash: restore.trash,
        retentions: restore.retentions,
        properties: restore.properties,
    });
    let backup = restore.map(|restore| restore.backup.to_string());
    let (cluster_id, cluster_name) = (cluster.cluster_id.to_string(), cluster.name);
    Ok(ResponseBody(Status { state, backup, cluster_id, cluster_name, schema_version, came }))
}

pub(crate) async fn rows(State(node): State<App>, _: Operator, Json(asked): Json<Rows>) -> ApiResult<StatusCode> {
    if asked.rows.len() > MAX_RESTORED {
        return Err(ApiError::invalid(format!("too many rows at once: send {MAX_RESTORED} at most")));
    }
    let mut rows = Vec::with_capacity(asked.rows.len());
    for row in &asked.rows {
        let table = Table::named(&row.table).ok_or_else(|| ApiError::invalid("there is no such table"))?;
        let bytes = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| ApiError::invalid("a row is no base64"));
        rows.push(RestoredRow { table, key: bytes(&row.key)?, value: bytes(&row.value)? });
    }
    let (backup, taken_at) = (digest(&asked.backup)?, ClusterTime(asked.taken_at));
    node.command(Command::Restore(command::Restore { backup, rows, taken_at })).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn missing(
    State(node): State<App>,
    _: Operator,
    Json(asked): Json<Contents>,
) -> ApiResult<ResponseBody<Contents>> {
    if asked.content_ids.len() > MAX_ASKED {
        return Err(ApiError::invalid(format!("too many contents at once: ask for {MAX_ASKED} at most")));
    }
    let contents: Vec<ContentId> = asked.content_ids.iter().map(|id| content_id(id)).collect::<ApiResult<_>>()?;
    let missing = node.handle().read(move |store| query::missing_contents(store, &contents)).await?;
    Ok(ResponseBody(Contents { content_ids: missing.iter().map(ContentId::to_string).collect() }))
}

fn content_id(text: &str) -> ApiResult<ContentId> {
    ContentId::parse(text)
        .ok_or_else(|| ApiError::invalid("a content's id is 32 lower-case hexadecimal digits: take it from the index"))
}

pub(crate) async fn done(State(node): State<App>, _: Operator, Json(asked): Json<Done>) -> ApiResult<StatusCode> {
    let backup = digest(&asked.backup)?;
    let Done { entries, users, grants, contents, versions, trash, retentions, properties, .. } = asked;
    let command =
        command::RestoreDone { backup, entries, users, grants, contents, versions, trash, retentions, properties };
    node.command(Command::RestoreDone(command)).await?;
    tracing::info!(%backup, entries, users, grants, contents, versions, trash, retentions, properties, "the cluster was restored from a backup and is in service");
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn content(State(node): State<App>, _: Operator, request: Request) -> ApiResult<StatusCode> {
    let (parts, body) = request.into_parts();
    let (purpose, content_id, incoming) = match incoming(&node, &parts) {
        Ok(read) => read,
        Err(error) => {
            linger(body, &parts.headers);
            return Err(error);
        }
    };
    let mut stream = body::told(body.into_data_stream());
    // The command takes effect once by itself, so it needs no name. Nobody owns it.
    let content_id = Some(content_id);
    let storing = StoreFile { node: &node, user: UserId(0), purpose, content_id };
    let result = storing.run(incoming, &mut stream, |_, _| None).await;
    if result.is_err() {
        linger(Body::from_stream(stream), &parts.headers);
    }
    result.map(|_| StatusCode::NO_CONTENT)
}

fn incoming(node: &App, parts: &axum::http::request::Parts) -> ApiResult<(Purpose, ContentId, Incoming)> {
    let asked: Content = parse_query(&parts.uri)?;
    let (backup, content_id) = (digest(&asked.backup)?, content_id(&asked.content_id)?);
    let row = BASE64_URL_SAFE_NO_PAD.decode(&asked.row).map_err(|_| ApiError::invalid("the row is no base64"))?;
    let (size, digest) =
        restored::content(&row).map_err(|fault| ApiError::invalid("the row cannot be read").because(fault))?;
    if content_length(&parts.headers).is_some_and(|length| length != size) {
        return Err(ApiError::invalid("the body has another length than the row says: verify the backup"));
    }
    let max_bytes = node.settings.max_file_bytes;
    if size > max_bytes {
        return Err(too_large(max_bytes));
    }
    // What names it says of what type it is.
    let incoming = Incoming { length: Some(size), at_most: Some(size), max_bytes, content_type: String::new(), digest };
    Ok((Purpose::Restore { backup, row }, content_id, incoming))
}

fn digest(text: &str) -> ApiResult<Sha256> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| ApiError::invalid("a backup is named by the SHA-256 of its index: 64 hexadecimal digits"))?;
    Ok(Sha256(bytes))
}

//! The state of the cluster, for people, load balancers and monitoring.

use axum::Json as Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::auth::Token;
use super::{servers, view};
use crate::consensus;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::query;
use crate::domain::rows::Server;
use crate::domain::{ReadStore, ServerId, Table};
use crate::protocol::api::{Cluster, NodeInfo, NodeRole, Replication, Ring, ServerInfo, ServerState};
use crate::protocol::problem::Code;
use crate::telemetry::METRICS_MEDIA_TYPE;

/// The most rows that are counted for a gauge; more read as this many.
const COUNTED_ROWS: usize = 10_000;

pub(crate) async fn cluster(State(node): State<App>, token: Token) -> ApiResult<Body<Cluster>> {
    // Without a round: this is what one looks at when there is no leader.
    node.known_here(&token).await?;
    let status = node.handle().status();
    let nodes = status.members.iter().map(|member| NodeInfo {
        node_id: member.id.0,
        role: role(&status, member),
        url: member.url.clone(),
        peer: member.peer.clone(),
        reachable: member.reachable,
        last_log_index: member.last_log_index,
        applied_index: member.applied_index,
    });
    Ok(Body(Cluster {
        cluster_id: status.cluster_id.map(|id| id.to_string()).unwrap_or_default(),
        name: status.cluster_name.clone(),
        node_id: status.node_id.0,
        leader_id: status.leader.map(|id| id.0),
        term: status.term,
        nodes: nodes.collect(),
    }))
}

fn role(status: &consensus::Status, member: &consensus::MemberStatus) -> NodeRole {
    if status.leader == Some(member.id) {
        NodeRole::Leader
    } else if member.voter {
        NodeRole::Follower
    } else {
        NodeRole::Learner
    }
}

pub(crate) async fn ring(State(node): State<App>, token: Token) -> ApiResult<Body<Ring>> {
    let ring = node.read_as(&token, |store, _| query::ring(store)).await?;
    let servers = ring.servers.iter().map(|server| server_info(&node, &ring.order, server)).collect();
    Ok(Body(Ring { copies: ring.copies, order: ring.order.iter().map(|id| id.0).collect(), servers }))
}

fn server_info(node: &App, order: &[ServerId], server: &Server) -> ServerInfo {
    let state = match servers::state(server) {
        ServerState::Up if node.servers.is_suspect(server.server_id) => ServerState::Suspect,
        replicated => replicated,
    };
    ServerInfo {
        server_id: server.server_id.0,
        url: server.url.clone(),
        state,
        epoch: server.epoch.0,
        successor: successor(order, server.server_id).map(|id| id.0),
        primaries: server.primaries,
        backups: server.backups,
        bytes: server.bytes,
        capacity: server.capacity,
        zone: server.zone.clone(),
        down_since: server.down_since.map(view::time),
    }
}

/// Who backs a server up; nobody where it is alone, or not in the ring.
fn successor(order: &[ServerId], server_id: ServerId) -> Option<ServerId> {
    let at = order.iter().position(|id| *id == server_id)?;
    order.get((at + 1) % order.len()).copied().filter(|next| *next != server_id)
}

/// What is owed a repair. The job that works it off, and its rate, come with the repair of dead servers.
pub(crate) async fn replication(State(node): State<App>, token: Token) -> ApiResult<Body<Replication>> {
    let pending = node.read_as(&token, |store, _| owed_repairs(store)).await?;
    Ok(Body(Replication { pending, ..Replication::default() }))
}

fn owed_repairs(store: &dyn ReadStore) -> Result<u64, crate::domain::Fault> {
    Ok(store.scan(Table::Repairs, &[], None, COUNTED_ROWS)?.len() as u64)
}

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether this node can serve: it knows a leader, has applied what was there when it started, and its disk takes
/// writes.
pub(crate) async fn readyz(State(node): State<App>) -> ApiResult<&'static str> {
    if node.is_stopping() {
        return Err(ApiError::new(Code::NoLeader, "the node is stopping: use another one"));
    }
    let status = node.handle().status();
    if !status.ready || status.leader.is_none() {
        let reason = status.waiting_for.unwrap_or_else(|| "a leader".to_owned());
        return Err(ApiError::new(
            Code::NoLeader,
            format!("the node is not ready, it waits for {reason}: try again in a second"),
        ));
    }
    Ok("ready\n")
}

pub(crate) async fn metrics(State(node): State<App>) -> Response {
    if let Ok(owed) = node.handle().read_local(|store| owed_repairs(store)).await {
        node.counters.under_replicated.set(i64::try_from(owed).unwrap_or(i64::MAX));
    }
    ([(header::CONTENT_TYPE, METRICS_MEDIA_TYPE)], node.metrics.encode()).into_response()
}

pub(crate) async fn root() -> Response {
    let text = "Ringmaster directory node\n\n\
        A file:    curl -fL -H \"Authorization: Bearer $TOKEN\" -T FILE 'URL/write?path=/FILE'\n\
        All files: curl -f -H \"Authorization: Bearer $TOKEN\" 'URL/all'\n\
        Health:    /healthz /readyz /metrics\n";
    (StatusCode::OK, text).into_response()
}

//! The state of the cluster, for people, load balancers and monitoring.

use axum::Json as Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::auth::Token;
use super::{servers, view};
use crate::consensus;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::query;
use crate::domain::rows::{self, Server};
use crate::domain::{ServerId, WallTime};
use crate::protocol::api::{Checking, Cluster, NodeInfo, NodeRole, NodeRoom, Ring, ServerInfo, ServerState};
use crate::protocol::problem::Code;

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
        last_seen: member.silent.filter(|_| !member.reachable).map(|silent| {
            let ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
            view::time(WallTime(node.clock.agreed_ms().saturating_sub(ms)))
        }),
        last_log_index: member.last_log_index,
        applied_index: member.applied_index,
        lag: member.lag,
        snapshot_index: member.snapshot_index,
        disk_free: member.disk_free,
        room: match member.room {
            consensus::Room::Ample => NodeRoom::Ample,
            consensus::Room::Low => NodeRoom::Low,
            consensus::Room::Full => NodeRoom::Full,
        },
        sync_ms: member.sync.map(|sync| u64::try_from(sync.as_millis()).unwrap_or(u64::MAX)),
        clock_off_ms: node.clocks.off(member.id, status.node_id, node.clock.ahead_ms()),
        version: member.version.clone(),
        trouble: member.trouble.clone(),
    });
    Ok(Body(Cluster {
        cluster_id: status.cluster_id.map(|id| id.to_string()).unwrap_or_default(),
        name: status.cluster_name.clone(),
        node_id: status.node_id.0,
        leader_id: status.leader.map(|id| id.0),
        term: status.term,
        schema: status.schema.0,
        directory_full: status.full,
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
    let servers = ring.servers.iter().map(|server| server_info(&node, &ring, server)).collect();
    Ok(Body(Ring { copies: ring.copies, order: ring.order.iter().map(|id| id.0).collect(), servers }))
}

pub(super) fn server_info(node: &App, ring: &query::Ring, server: &Server) -> ServerInfo {
    let state = match servers::state(server) {
        ServerState::Up if node.servers.is_suspect(server.server_id) => ServerState::Suspect,
        replicated => replicated,
    };
    ServerInfo {
        server_id: server.server_id.0,
        url: server.url.clone(),
        state,
        epoch: server.epoch.0,
        successor: successor(&ring.order, server.server_id).map(|id| id.0),
        primaries: server.primaries,
        backups: server.backups,
        bytes: server.bytes,
        capacity: server.capacity,
        zone: server.zone.clone(),
        down_since: server.down_since.map(view::time),
        stale: server.stale,
        leaving: server.leaving,
        drained: server.leaving && server.named() == 0,
        moving: if server.state == rows::ServerState::Up { 0 } else { server.named() },
        held_up: node.emptying_held_up(ring, server),
        checking: node.servers.last(server.server_id).and_then(|heartbeat| {
            let pass = heartbeat.scrub?;
            Some(Checking { copies: pass.copies, of: heartbeat.blobs, damaged: pass.damaged })
        }),
        full: server.full,
        cannot_write: node.servers.refusal(server.server_id).filter(|_| server.is_serving()),
    }
}

/// Who backs a server up; nobody where it is alone, or not in the ring.
fn successor(order: &[ServerId], server_id: ServerId) -> Option<ServerId> {
    let at = order.iter().position(|id| *id == server_id)?;
    order.get((at + 1) % order.len()).copied().filter(|next| *next != server_id)
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
    if status.leader.is_some() && status.lag > 0 && !status.ready {
        return Err(ApiError::new(
            Code::NoLeader,
            format!("the node is not ready, it lacks {} entries of the log: use another one meanwhile", status.lag),
        ));
    }
    if !status.ready || status.leader.is_none() {
        let reason = status.waiting_for.unwrap_or_else(|| "a leader".to_owned());
        return Err(ApiError::new(
            Code::NoLeader,
            format!("the node is not ready, it waits for {reason}: try again in a second"),
        ));
    }
    Ok("ready\n")
}

pub(crate) async fn root() -> Response {
    let text = "Ringmaster directory node\n\n\
        A file:    curl -fL -H \"Authorization: Bearer $TOKEN\" -T FILE 'URL/write?path=/FILE'\n\
        All files: curl -f -H \"Authorization: Bearer $TOKEN\" 'URL/all'\n\
        Health:    /healthz /readyz\n";
    (StatusCode::OK, text).into_response()
}

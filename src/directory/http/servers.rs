//! What file servers call: `/register` and `/heartbeat`.

use std::time::Duration;

use axum::Json as Body;
use axum::extract::State;

use super::App;
use super::callers::FileServer;
use super::request::Json;
use super::view;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::lookout::address;
use crate::domain::query;
use crate::domain::rows::{Server, ServerState};
use crate::domain::{Command, Epoch, Outcome, Proposal, ServerUuid, command};
use crate::protocol::api;
use crate::protocol::problem::Code;
use crate::protocol::registration::{HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest, ServerEntry};

/// How long a file server may take to answer at the address that it names.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);
/// The same at the address where the server was before: mostly nobody is there any more.
const RECORDED_DEADLINE: Duration = Duration::from_secs(1);
/// The longest url and zone, in bytes.
const MAX_TEXT: usize = 1024;

pub(crate) async fn register(
    State(node): State<App>,
    caller: FileServer,
    Json(asked): Json<RegisterRequest>,
) -> ApiResult<Body<RegisterAnswer>> {
    if asked.url.len() > MAX_TEXT || asked.zone.len() > MAX_TEXT {
        return Err(ApiError::invalid(
            "url and zone have at most 1,024 bytes: shorten server.advertise or server.zone",
        ));
    }
    // Trying again would not mend it, so it is told as what ends a file server.
    caller.is_known(&node, asked.uuid).await.map_err(|error| match error.code {
        Code::Forbidden => ApiError::invalid(error.detail),
        _ => error,
    })?;
    is_there(&node, &asked).await?;
    is_alone(&node, &asked).await?;
    let command = Command::RegisterServer(command::RegisterServer {
        uuid: asked.uuid,
        url: asked.url.clone(),
        zone: asked.zone.clone(),
        capacity: asked.capacity,
        last: asked.last,
        next: asked.next,
    });
    let outcome = node.propose(Proposal { operation: None, command }).await?;
    let Outcome::Server { server_id, epoch } = outcome else { return Err(view::unexpected(&outcome)) };
    tracing::info!(%server_id, %epoch, url = asked.url, zone = asked.zone, "file server registered");
    let cluster_id =
        node.handle().status().cluster_id.ok_or_else(|| ApiError::internal("a cluster that applies has an id"))?;
    Ok(Body(RegisterAnswer {
        cluster_id,
        server_id,
        epoch,
        heartbeat_ms: millis(node.settings.heartbeat),
        inventory_ms: millis(node.settings.inventory),
        directory: node.directory_urls(),
        servers: entries(&node.handle().read(|store| query::servers(store)).await?),
        now_ms: node.agreed_ms(),
    }))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Whoever answers at the address must be the server that asks, or bytes would be sent to a stranger.
async fn is_there(node: &App, asked: &RegisterRequest) -> ApiResult<()> {
    answers(node, asked.uuid, &asked.url, ANSWER_DEADLINE).await.map_err(|cause| {
        let detail = format!(
            "the file server does not answer at its own address {} ({cause}): set server.advertise to where directory nodes reach it",
            asked.url
        );
        ApiError::new(Code::Forbidden, detail)
    })
}

/// Two processes must not be one file server. A data directory that was copied along with its identity has the UUID of
/// the original; while the original still answers where it was admitted, the other one is refused. A server that has
/// moved is let in: at its old address nobody answers, or one who says that it is somewhere else.
async fn is_alone(node: &App, asked: &RegisterRequest) -> ApiResult<()> {
    let own = node.handle().status().cluster_id;
    if let (Some(own), Some(theirs)) = (own, asked.cluster_id)
        && own != theirs
    {
        return Err(ApiError::invalid(format!(
            "this data directory belongs to cluster {theirs}, and this is cluster {own}: correct server.data_dir or cluster.directory"
        )));
    }
    let servers = node.handle().read(|store| query::servers(store)).await?;
    let Some(known) = servers.into_iter().find(|server| server.uuid == asked.uuid) else {
        let Some(server_id) = asked.server_id else { return Ok(()) };
        return Err(ApiError::invalid(format!(
            "this data directory belonged to file server {server_id}, which was removed from the cluster: empty the directory to join as a new one"
        )));
    };
    let moved = known.url.trim_end_matches('/') != asked.url.trim_end_matches('/');
    if known.is_serving() && moved && answers(node, known.uuid, &known.url, RECORDED_DEADLINE).await.is_ok() {
        return Err(ApiError::new(
            Code::Forbidden,
            format!(
                "two processes have the identity of file server {} in their data directories, one at {} and one at {}: stop one of them; a disk that was copied must be emptied before it joins",
                known.server_id, known.url, asked.url
            ),
        ));
    }
    Ok(())
}

/// Whether the server with that UUID, advertising that url, answers there; if not, why. Only what this server itself has
/// proven to be is told, nothing of what else may answer there.
async fn answers(node: &App, uuid: ServerUuid, url: &str, deadline: Duration) -> Result<(), String> {
    let health = node.lookout.prober.ask(uuid, url, deadline).await?;
    if health.url.trim_end_matches('/') == url.trim_end_matches('/') {
        Ok(())
    } else {
        Err("it is there, and says that it is reached elsewhere".to_owned())
    }
}

pub(crate) async fn heartbeat(
    State(node): State<App>,
    caller: FileServer,
    Json(heartbeat): Json<HeartbeatRequest>,
) -> ApiResult<Body<HeartbeatAnswer>> {
    caller.is_known(&node, heartbeat.uuid).await?;
    let servers = node.handle().read_local(|store| query::servers(store)).await?;
    let known = servers.iter().find(|server| server.server_id == heartbeat.server_id && server.uuid == heartbeat.uuid);
    // A follower that is a little behind may not know a server yet that has just registered.
    let answer = HeartbeatAnswer {
        known: known.is_some(),
        epoch: known.map_or(Epoch(0), |server| server.epoch),
        state: known.map_or(api::ServerState::Down, state),
        directory: node.directory_urls(),
        servers: entries(&servers),
        now_ms: node.agreed_ms(),
    };
    if known.is_some_and(|server| server.epoch == heartbeat.epoch) {
        node.servers.heard(heartbeat);
    }
    Ok(Body(answer))
}

/// A server's replicated state; suspicion is added by whoever shows it.
pub(crate) fn state(server: &Server) -> api::ServerState {
    match server.state {
        ServerState::Up => api::ServerState::Up,
        ServerState::Down => api::ServerState::Down,
        ServerState::Draining => api::ServerState::Draining,
    }
}

fn entries(servers: &[Server]) -> Vec<ServerEntry> {
    servers
        .iter()
        .map(address)
        .map(|at| ServerEntry { server_id: at.server_id, uuid: at.uuid, url: at.url, epoch: at.epoch })
        .collect()
}

impl super::Node {
    /// Where members of the cluster reach every directory node.
    pub(crate) fn directory_urls(&self) -> Vec<String> {
        self.handle().status().members.into_iter().map(|member| member.peer).collect()
    }
}

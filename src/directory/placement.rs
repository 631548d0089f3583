//! Where new files go. The leader decides for all nodes, because it alone sees everything that is in flight: writers
//! who decided for themselves would all pick the server that was least loaded a moment ago.
//!
//! The leader keeps the account of what is in flight in memory. A new one starts with an empty account and is even
//! again after a few files; nothing that must hold depends on it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::error::{ApiError, ApiResult};
use super::lookout::{ServerWatch, address};
use super::node::Node;
use super::peers::{self, PeerCall, PeerReply};
use super::placer::message::{PlacementAnswer, PlacementRequest, PlacerCall, PlacerReply, RENEW_EVERY, Release, Renew};
use super::placer::{NoPlace, Placer, Wish, space};
use crate::client::blobs::ServerAddress;
use crate::clock::SharedClock;
use crate::consensus::Handle;
use crate::domain::query::{self, Ring};
use crate::domain::rows::ServerState;
use crate::domain::{BlobId, ClusterTime, ServerId};
use crate::protocol::problem::Code;

/// Answers placement calls where this node leads.
pub(crate) struct PlacementDesk {
    placer: Placer,
    servers: Arc<ServerWatch>,
}

impl PlacementDesk {
    pub(crate) fn new(servers: Arc<ServerWatch>, clock: SharedClock) -> Self {
        Self { placer: Placer::new(clock), servers }
    }

    pub(crate) async fn answer(&self, handle: &Handle, call: PlacerCall) -> PlacerReply {
        let status = handle.status();
        if status.leader != Some(status.node_id) {
            self.placer.clear();
            return PlacerReply::NotLeader;
        }
        match call {
            PlacerCall::Place(request) => PlacerReply::Placement(self.place(handle, request.into()).await),
            PlacerCall::Renew(Renew { blob_id }) => PlacerReply::Known(self.placer.renew(blob_id)),
            PlacerCall::Release(Release { blob_id }) => PlacerReply::Known(self.placer.release(blob_id)),
        }
    }

    async fn place(&self, handle: &Handle, mut wish: Wish) -> PlacementAnswer {
        let reading = self.placer.reading();
        let ring = match handle.read_local(|store| query::ring(store)).await {
            Ok(ring) => ring,
            Err(error) => {
                tracing::error!(%error, "the file servers' rows cannot be read");
                return PlacementAnswer::Failed;
            }
        };
        wish.excluded = self.excluded(&ring, &wish.excluded);
        match self.too_small(&ring, &wish) {
            Some(small) => wish.excluded.extend(small),
            None => {
                self.servers.room_is_wanted();
                return PlacementAnswer::Full;
            }
        }
        match reading.lease(&wish, &ring) {
            Ok(chosen) => {
                let find = |id: &ServerId| ring.servers.iter().find(|server| server.server_id == *id).map(address);
                let targets: Vec<ServerAddress> = chosen.iter().filter_map(find).collect();
                PlacementAnswer::placed(&targets, handle.cluster_time())
            }
            Err(NoPlace::NoFileServer) => PlacementAnswer::NoFileServer,
            Err(NoPlace::Full) => {
                self.servers.room_is_wanted();
                PlacementAnswer::Full
            }
            Err(NoPlace::Busy) => PlacementAnswer::Busy,
        }
    }

    /// The servers that could take a file, but have too little room for this one; nothing where too few have. What is in
    /// flight is not subtracted: a server counts it as taken as soon as it has been told of it, and would be found too
    /// small for a file that fits.
    fn too_small(&self, ring: &Ring, wish: &Wish) -> Option<BTreeSet<ServerId>> {
        let fit = ring.servers.iter().filter(|server| server.is_eligible() && ring.order.contains(&server.server_id));
        let fit = fit.filter(|server| !wish.excluded.contains(&server.server_id));
        let room = |id: ServerId| self.servers.last(id).map(|heartbeat| heartbeat.free);
        let space = fit.map(|server| (server.server_id, room(server.server_id))).collect();
        space::too_small(&space, wish.size_hint, usize::try_from(ring.copies).unwrap_or(usize::MAX))
    }

    /// Servers that are suspect, or whose disks refuse, are taken only where there are too few others: they may do after
    /// all.
    fn excluded(&self, ring: &Ring, given: &BTreeSet<ServerId>) -> BTreeSet<ServerId> {
        let up =
            ring.servers.iter().filter(|server| server.state == ServerState::Up && !given.contains(&server.server_id));
        let (suspect, sound): (Vec<_>, Vec<_>) =
            up.map(|server| server.server_id).partition(|id| self.servers.is_unfit(*id));
        let enough = sound.len() >= usize::try_from(ring.copies).unwrap_or(usize::MAX);
        given.iter().copied().chain(suspect.into_iter().filter(|_| enough)).collect()
    }
}

/// Has the leader answer.
async fn ask(handle: &Handle, call: PlacerCall) -> ApiResult<PlacerReply> {
    match peers::ask_leader(handle, &PeerCall::Placer(call)).await? {
        PeerReply::Placer(reply) => Ok(reply),
        other => Err(ApiError::internal(format!("the leader answered a placement call with {other:?}"))),
    }
}

/// Where one upload goes. It counts as in flight until this is dropped.
pub(crate) struct Placed {
    /// The primary first.
    pub(crate) targets: Vec<ServerAddress>,
    /// When the leader placed it.
    pub(crate) cluster_time: ClusterTime,
    _in_flight: InFlight,
}

/// Keeps an upload in the leader's account, wherever the leader is.
struct InFlight {
    blob_id: BlobId,
    handle: Handle,
    renewal: tokio::task::JoinHandle<()>,
}

impl InFlight {
    fn new(blob_id: BlobId, handle: Handle) -> Self {
        let renewing = handle.clone();
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                if let Err(error) = ask(&renewing, PlacerCall::Renew(Renew { blob_id })).await {
                    tracing::debug!(%blob_id, cause = ?error, "an upload in flight was not renewed");
                }
            }
        });
        Self { blob_id, handle, renewal }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.renewal.abort();
        let (blob_id, handle) = (self.blob_id, self.handle.clone());
        tokio::spawn(async move {
            if let Err(error) = ask(&handle, PlacerCall::Release(Release { blob_id })).await {
                tracing::debug!(%blob_id, cause = ?error, "an upload was not released and is forgotten with its lease");
            }
        });
    }
}

/// How often a leader is asked while there is none, or it turns out not to lead any more: an upload rides out an
/// election at its start as its commit does at its end.
const ASKS: u32 = 40;
/// How long is waited in between.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Node {
    /// Has the leader choose the servers for a new blob, none of them in `excluded`.
    pub(crate) async fn place(&self, blob_id: BlobId, size_hint: u64, excluded: Vec<ServerId>) -> ApiResult<Placed> {
        let request = PlacementRequest { blob_id, size_hint, excluded };
        let call = PlacerCall::Place(request);
        for _ in 0..ASKS {
            // Safe to repeat: a blob that is placed twice counts once.
            let answer = match ask(self.handle(), call.clone()).await {
                Ok(PlacerReply::Placement(answer)) => answer,
                Err(error) if error.code != Code::NoLeader => return Err(error),
                Err(error) if self.handle().has_lost_leader() => return Err(error),
                _ => {
                    tokio::time::sleep(ASK_AGAIN).await;
                    continue;
                }
            };
            return match answer {
                PlacementAnswer::Placed { targets, placed_at } => Ok(Placed {
                    targets: targets.into_iter().map(ServerAddress::from).collect(),
                    cluster_time: ClusterTime(placed_at),
                    _in_flight: InFlight::new(blob_id, self.handle().clone()),
                }),
                PlacementAnswer::Full => Err(self.no_room().await),
                refused => Err(nowhere(&refused)),
            };
        }
        Err(ApiError::no_leader())
    }

    /// Where copies may go that a write lost on its way: the servers behind the first of `holders` in the ring, in its
    /// order, that can take one and hold none.
    pub(crate) async fn substitutes(&self, holders: &[ServerId], lost: &[ServerId]) -> ApiResult<Vec<ServerAddress>> {
        let ring = self.handle().read(|store| query::ring(store)).await?;
        let start = ring.order.iter().position(|id| Some(id) == holders.first()).unwrap_or(0);
        let order = ring.order.iter().cycle().skip(start).take(ring.order.len());
        let fit = order.filter(|id| !holders.contains(id) && !lost.contains(id) && !self.servers.is_unfit(**id));
        let find = |id: &ServerId| ring.servers.iter().find(|server| server.server_id == *id && server.is_eligible());
        Ok(fit.filter_map(find).map(address).collect())
    }
}

fn nowhere(answer: &PlacementAnswer) -> ApiError {
    match answer {
        PlacementAnswer::Busy => {
            ApiError::new(Code::TooManyRequests, "too many files are being written: try again in a moment")
        }
        PlacementAnswer::NoFileServer => ApiError::new(
            Code::NoFileServer,
            "no file server is up that could take the file: start one with `ringmaster fileserver`, or try again",
        ),
        PlacementAnswer::Placed { .. } | PlacementAnswer::Full | PlacementAnswer::Failed => {
            ApiError::internal("the leader could not read the file servers' rows")
        }
    }
}

//! openraft's network over [`Peers`].

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::acknowledged::{Acknowledged, Recollections};
use super::super::snapshot::{Destination, Offer, Piece, Snapshot, SnapshotFiles, send};
use super::super::tasks::Tasks;
use super::super::types::{PeerNode, SnapshotMeta, TypeConfig, Vote};
use super::{Call, CallError, KnownAddresses, Peers, Target, decode, encode};
use crate::domain::NodeId;

/// An append waits for the follower's disk, so it gets much longer than a heartbeat; a follower that is gone is
/// noticed by the heartbeats.
const APPEND_TIMEOUT: Duration = Duration::from_secs(3);
const PIECE_TIMEOUT: Duration = Duration::from_secs(20);
/// The other side opens the database before it answers.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(120);

type C = TypeConfig;

/// Snapshots that are being sent: to whom, how many bytes are there, and how many in all. For people to watch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sending(Arc<Mutex<Transfers>>);

#[derive(Debug, Default)]
struct Transfers {
    under_way: BTreeMap<NodeId, (u64, u64)>,
    broke_off: BTreeMap<NodeId, Instant>,
}

impl Sending {
    pub(crate) fn to(&self, node: NodeId) -> Option<(u64, u64)> {
        self.lock().under_way.get(&node).copied()
    }

    /// Whether one is on its way, or broke off so lately that it may go on.
    pub(crate) fn of_late(&self, window: Duration) -> bool {
        let mut transfers = self.lock();
        transfers.broke_off.retain(|_, at| at.elapsed() < window);
        !transfers.under_way.is_empty() || !transfers.broke_off.is_empty()
    }

    pub(crate) fn begin(&self, node: NodeId, there: u64, all: u64) {
        self.lock().under_way.insert(node, (there, all));
    }

    fn advance(&self, node: NodeId, bytes: u64) {
        if let Some((there, _)) = self.lock().under_way.get_mut(&node) {
            *there += bytes;
        }
    }

    pub(crate) fn end(&self, node: NodeId, arrived: bool) {
        let mut transfers = self.lock();
        let begun = transfers.under_way.remove(&node).is_some();
        if arrived {
            transfers.broke_off.remove(&node);
        } else if begun {
            transfers.broke_off.insert(node, Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Transfers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// This node, which hears what another one remembers of it before the two count on each other.
pub(crate) trait Introduction: Send + Sync + 'static {
    fn is_introduced(&self, to: NodeId) -> bool;

    /// An `Err` says why nothing may go there yet.
    fn introduce(self: Arc<Self>, to: Target) -> BoxFuture<'static, Result<(), String>>;
}

/// Makes openraft's clients.
pub(crate) struct Network {
    pub peers: Arc<dyn Peers>,
    pub addresses: Arc<KnownAddresses>,
    /// Not held: the node holds openraft, which holds this.
    pub introduction: Weak<dyn Introduction>,
    pub tasks: Tasks,
    pub sending: Sending,
    /// What the others acknowledge is noted here.
    pub recollections: Arc<Recollections>,
    pub snapshot_piece_bytes: usize,
}

/// openraft's client to one node for one purpose.
pub(crate) struct Client {
    peers: Arc<dyn Peers>,
    addresses: Arc<KnownAddresses>,
    introduction: Weak<dyn Introduction>,
    tasks: Tasks,
    sending: Sending,
    recollections: Arc<Recollections>,
    target: Target,
    append: Call,
    snapshot_piece_bytes: usize,
}

/// The end of a transfer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Finish {
    pub name: String,
    pub vote: Vote,
    pub meta: SnapshotMeta,
}

impl Network {
    fn client(&self, target: u64, node: &PeerNode, append: Call) -> Client {
        Client {
            peers: Arc::clone(&self.peers),
            addresses: Arc::clone(&self.addresses),
            introduction: Weak::clone(&self.introduction),
            tasks: self.tasks.clone(),
            sending: self.sending.clone(),
            recollections: Arc::clone(&self.recollections),
            target: Target { id: NodeId(target), address: node.peer.clone() },
            append,
            snapshot_piece_bytes: self.snapshot_piece_bytes,
        }
    }
}

impl RaftNetworkFactory<C> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, node: &PeerNode) -> Client {
        self.client(target, node, Call::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &PeerNode) -> Client {
        self.client(target, node, Call::Heartbeat)
    }
}

impl Client {
    /// It may have moved since this client was made.
    fn target(&self) -> Target {
        let address = self.addresses.of(self.target.id);
        Target { id: self.target.id, address: address.unwrap_or_else(|| self.target.address.clone()) }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        call: Call,
        request: &impl Serialize,
        timeout: Duration,
    ) -> Result<T, RPCError<C>> {
        let target = self.target();
        // A pre-vote binds nobody.
        if call != Call::PreVote
            && let Some(node) = self.introduction.upgrade()
            && !node.is_introduced(target.id)
            && let Err(why) = node.introduce(target.clone()).await
        {
            return Err(RPCError::Unreachable(Unreachable::from_string(format!("node {}: {why}", target.id))));
        }
        let answer = self.peers.call(&target, call, encode(request), timeout).await;
        let body = answer.map_err(|error| match error {
            // Both wait a little before they try again; a broken connection is tried again at once.
            CallError::Unreachable(_) | CallError::Refused(_) => {
                RPCError::Unreachable(Unreachable::from_string(format!("node {}: {error}", self.target.id)))
            }
            CallError::Broken(_) => network_error(&format!("node {}: {error}", self.target.id)),
        })?;
        decode(&body).map_err(|text| network_error(&format!("node {}: {text}", self.target.id)))
    }
}

fn network_error(text: &str) -> RPCError<C> {
    RPCError::Network(NetworkError::from_string(text))
}

impl RaftNetworkV2<C> for Client {
    type SnapshotData = SnapshotFiles;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<C>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<C>, RPCError<C>> {
        let timeout = if self.append == Call::Heartbeat { option.hard_ttl() } else { APPEND_TIMEOUT };
        let answer = self.call(self.append, &rpc, timeout).await?;
        let sent = || rpc.entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id);
        match &answer {
            AppendEntriesResponse::Success => self.acknowledged(&rpc.vote, sent().map(|id| id.index)),
            AppendEntriesResponse::PartialSuccess(upto) => self.acknowledged(&rpc.vote, upto.map(|id| id.index)),
            AppendEntriesResponse::Conflict | AppendEntriesResponse::HigherVote(_) => {}
        }
        Ok(answer)
    }

    async fn vote(&mut self, rpc: VoteRequest<C>, option: RPCOption) -> Result<VoteResponse<C>, RPCError<C>> {
        let answer: VoteResponse<C> = self.call(Call::Vote, &rpc, option.hard_ttl()).await?;
        if answer.vote_granted {
            self.acknowledged(&rpc.vote, None);
        }
        Ok(answer)
    }

    async fn pre_vote(&mut self, rpc: VoteRequest<C>, option: RPCOption) -> Result<VoteResponse<C>, RPCError<C>> {
        self.call(Call::PreVote, &rpc, option.hard_ttl()).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<C>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<C>, RPCError<C>> {
        self.call(Call::Transfer, &request, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        let sent = tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, snapshot) => sent,
        };
        self.sending.end(self.target.id, sent.is_ok());
        sent
    }
}

impl Client {
    async fn send_snapshot(&self, vote: Vote, snapshot: Snapshot) -> Result<SnapshotResponse<C>, StreamingError<C>> {
        let name = send(&snapshot.snapshot, self.snapshot_piece_bytes, &self.tasks, self)
            .await
            .map_err(|error| StreamingError::Unreachable(Unreachable::from_string(format!("{error:#}"))))?;
        let finish = Finish { name, vote, meta: snapshot.meta };
        let answer: SnapshotResponse<C> = self.call(Call::SnapshotFinish, &finish, INSTALL_TIMEOUT).await?;
        if answer.vote == finish.vote {
            self.acknowledged(&finish.vote, finish.meta.last_log_id.map(|id| id.index));
        }
        Ok(answer)
    }

    fn acknowledged(&self, vote: &Vote, index: Option<u64>) {
        self.recollections.note(self.target.id, Acknowledged::new(vote, index));
    }

    fn transfer<'a, T: DeserializeOwned + Send + 'a>(
        &'a self,
        call: Call,
        body: Bytes,
    ) -> BoxFuture<'a, anyhow::Result<T>> {
        Box::pin(async move {
            let answer = self.peers.call(&self.target(), call, body, PIECE_TIMEOUT).await;
            let answer = answer.with_context(|| format!("sending a snapshot to node {}", self.target.id))?;
            decode(&answer).map_err(anyhow::Error::msg)
        })
    }
}

impl Destination for Client {
    fn begin(&self, offer: &Offer) -> BoxFuture<'_, anyhow::Result<Vec<u64>>> {
        let begun = self.transfer(Call::SnapshotBegin, encode(offer));
        let all = offer.files.iter().map(|file| file.size).sum();
        Box::pin(async move {
            let there: Vec<u64> = begun.await?;
            self.sending.begin(self.target.id, there.iter().sum(), all);
            Ok(there)
        })
    }

    fn write(&self, piece: &Piece) -> BoxFuture<'_, anyhow::Result<()>> {
        let bytes = piece.data.0.len() as u64;
        let written = self.transfer::<()>(Call::SnapshotPiece, encode(piece));
        Box::pin(async move {
            written.await?;
            self.sending.advance(self.target.id, bytes);
            Ok(())
        })
    }
}

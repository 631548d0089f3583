//! What a running node is made of, and how it answers its peers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::AppendEntriesResponse;
use openraft::{Instant as _, RaftMetrics, ServerState};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use super::super::formation::{self, DataDir, Form, Hello, Identity};
use super::super::log::LogStore;
use super::super::machine::{Machine, StateStore};
use super::super::options::{Member, Tuning};
use super::super::snapshot::{Receiver, Snapshot, Snapshots};
use super::super::status::{PeerService, Status};
use super::super::stopper::Stopper;
use super::super::transport::{Arrived, Call, Inbound, Peers, Target, decode, encode};
use super::super::types::{Blob, RaftNode, TypeConfig};
use super::gossip::PeerStatus;
use super::office::{Office, Submission};
use super::propose::ProposeReply;
use super::read::Waiter;
use crate::clock::SharedClock;
use crate::domain::{ClusterId, NodeId};

/// A node. Its tasks and its handles share it.
pub(crate) struct Node {
    pub id: NodeId,
    pub cluster_name: String,
    /// Shared with the transport, which puts it in every call.
    pub cluster: Arc<RwLock<Option<ClusterId>>>,
    pub members: Vec<Member>,
    pub join: bool,
    pub url: String,
    pub peer_url: String,
    pub tuning: Tuning,
    pub clock: SharedClock,
    pub stopper: Stopper,
    pub machine: Arc<dyn Machine>,
    pub service: Arc<dyn PeerService>,
    /// Where calls of the floor above are answered: not on Raft's own threads.
    pub service_runtime: tokio::runtime::Handle,
    pub peers: Arc<dyn Peers>,
    pub log: LogStore,
    pub state: Arc<StateStore>,
    pub snapshots: Arc<Snapshots>,
    pub receiver: Arc<Receiver>,
    /// Set once the cluster has formed.
    pub raft: OnceLock<RaftNode>,
    pub commits: Arc<AtomicU64>,
    pub read_rounds: AtomicU64,
    pub reads: AtomicU64,
    pub closing: AtomicBool,
    /// It has applied what was committed when it started.
    pub recovered: AtomicBool,
    pub office: watch::Sender<Option<Office>>,
    pub proposals: mpsc::Sender<Submission>,
    pub rounds: mpsc::Sender<Waiter>,
    pub status: watch::Sender<Status>,
    pub waiting_for: Mutex<Option<String>>,
    pub gossip: Mutex<BTreeMap<NodeId, (Instant, PeerStatus)>>,
    /// When a leader last spoke to this node.
    pub heard: Mutex<Option<Instant>>,
    pub identity: Mutex<Identity>,
    /// Last, so that the lock is given back after everything in the directory is closed.
    pub data: DataDir,
}

/// The leader that a node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    Here,
    There(Target),
    /// With the reason, for people.
    Unknown(String),
}

impl Node {
    pub(crate) fn cluster_id(&self) -> Option<ClusterId> {
        *self.cluster.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes the cluster down before anybody hears of it.
    pub(crate) fn save_identity(&self, identity: &Identity) -> anyhow::Result<()> {
        let mut current = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        self.data.save(identity)?;
        *current = identity.clone();
        *self.cluster.write().unwrap_or_else(PoisonError::into_inner) =
            identity.cluster.as_ref().map(|formed| formed.id);
        Ok(())
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn raft_metrics(&self) -> Option<RaftMetrics<TypeConfig>> {
        self.raft.get().map(|raft| raft.metrics().borrow_watched().clone())
    }

    /// How long a leader may be silent before it counts as gone. A little more than what the election waits for.
    pub(crate) fn patience(&self) -> Duration {
        self.tuning.election_max * 2
    }

    /// Who leads, as far as this node knows and has reason to believe: a leader that nobody hears is none.
    pub(crate) fn leader(&self) -> Leader {
        let Some(raft) = self.raft.get() else {
            return Leader::Unknown(self.waiting().unwrap_or_else(|| "the cluster is forming".into()));
        };
        let receiver = raft.metrics();
        let metrics = receiver.borrow_watched();
        let Some(leader) = metrics.current_leader else {
            return Leader::Unknown("an election is under way, or too few nodes are up for a majority".into());
        };
        if leader == self.id.0 {
            return self.own_leadership(&metrics);
        }
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.is_none_or(|at| at.elapsed() > self.patience()) {
            return Leader::Unknown(format!("node {leader} led last and is silent"));
        }
        match metrics.membership_config.get_node(&leader) {
            Some(node) => Leader::There(Target { id: NodeId(leader), address: node.peer.clone() }),
            None => Leader::Unknown(format!("node {leader} leads and its address is not known yet")),
        }
    }

    fn own_leadership(&self, metrics: &RaftMetrics<TypeConfig>) -> Leader {
        if metrics.state != ServerState::Leader {
            return Leader::Unknown("an election is under way".into());
        }
        let alone = metrics.membership_config.voter_ids().count() == 1;
        let fresh = metrics.last_quorum_acked.is_some_and(|at| at.elapsed() < self.patience());
        if alone || fresh {
            Leader::Here
        } else {
            Leader::Unknown("this node leads and hears no majority of the nodes".into())
        }
    }

    pub(crate) fn waiting(&self) -> Option<String> {
        self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_waiting(&self, text: Option<String>) {
        *self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    pub(crate) fn stopped_message(&self) -> Option<String> {
        let closing = self.closing.load(std::sync::atomic::Ordering::Acquire);
        self.stopper.message().or_else(|| closing.then(|| format!("node {} is shutting down", self.id)))
    }

    pub(crate) fn target(&self, node: NodeId) -> Option<Target> {
        let metrics = self.raft_metrics();
        let known = metrics.as_ref().and_then(|metrics| metrics.membership_config.get_node(&node.0));
        let address = known
            .map(|node| node.peer.clone())
            .or_else(|| self.members.iter().find(|member| member.id == node).map(|member| member.peer.clone()));
        address.map(|address| Target { id: node, address })
    }

    fn hello(&self) -> Hello {
        let identity = self.identity();
        let begun = !self.log.is_pristine();
        let mut members: Vec<u64> = identity
            .cluster
            .iter()
            .flat_map(|formed| formed.members.iter().map(|member| member.id.0))
            .chain(self.raft_metrics().iter().flat_map(|m| m.membership_config.nodes().map(|(id, _)| *id)))
            .collect();
        members.sort_unstable();
        members.dedup();
        Hello {
            node: self.id.0,
            cluster_name: self.cluster_name.clone(),
            cluster_id: identity.cluster.map(|formed| formed.id.to_string()),
            listed: if self.join { Vec::new() } else { formation::listed(&self.members) },
            begun,
            members,
        }
    }

    fn accept_form(&self, form: Form) -> Result<(), String> {
        let identity = self.identity();
        let accepted = formation::accept(&identity, form)?;
        if accepted != identity {
            self.save_identity(&accepted).map_err(|error| format!("{error:#}"))?;
        }
        Ok(())
    }

    fn note_leader(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// A node as its transport sees it.
pub(crate) struct Gate(pub Arc<Node>);

impl Inbound for Gate {
    fn serve(&self, arrived: Arrived) -> BoxFuture<'static, Result<Bytes, String>> {
        let node = Arc::clone(&self.0);
        Box::pin(async move { serve(node, arrived).await })
    }
}

async fn serve(node: Arc<Node>, arrived: Arrived) -> Result<Bytes, String> {
    match arrived.call {
        Call::Hello => return Ok(encode(&node.hello())),
        Call::Form => {
            let form = decode(&arrived.body)?;
            return blocking(move || node.accept_form(form)).await.map(|()| encode(&()));
        }
        _ => {}
    }
    debug_assert!(!arrived.call.before_forming());
    let ours = node.cluster_id().ok_or_else(|| format!("node {} is not part of a cluster yet", node.id))?;
    if arrived.cluster != Some(ours) {
        return Err(match arrived.cluster {
            Some(theirs) => format!("node {} belongs to cluster {ours}, and the caller to cluster {theirs}", node.id),
            None => format!("node {} belongs to cluster {ours}, and the caller to none", node.id),
        });
    }
    let raft = node.raft.get().cloned().ok_or_else(|| format!("node {} is starting", node.id))?;
    serve_member(node, &raft, arrived).await
}

async fn serve_member(node: Arc<Node>, raft: &RaftNode, arrived: Arrived) -> Result<Bytes, String> {
    let (from, body) = (arrived.from, arrived.body);
    match arrived.call {
        Call::Append | Call::Heartbeat => {
            let answer = raft.append_entries(decode(&body)?).await.map_err(|error| error.to_string())?;
            if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                node.note_leader();
            }
            Ok(encode(&answer))
        }
        Call::Vote => reply(&body, |request| raft.vote(request)).await,
        Call::PreVote => reply(&body, |request| raft.pre_vote(request)).await,
        Call::Transfer => reply(&body, |request| raft.handle_transfer_leader(request)).await,
        Call::ReadIndex => {
            if node.leader() != Leader::Here {
                return Err(format!("node {} does not lead", node.id));
            }
            node.read_round().await.map(|index| encode(&index))
        }
        Call::SnapshotBegin => {
            let offer = decode(&body)?;
            let receiver = Arc::clone(&node.receiver);
            let there = blocking(move || receiver.begin(from.0, offer).map_err(|error| format!("{error:#}"))).await?;
            Ok(encode(&there))
        }
        Call::SnapshotPiece => {
            let piece = decode(&body)?;
            let receiver = Arc::clone(&node.receiver);
            blocking(move || receiver.write(from.0, &piece).map_err(|error| format!("{error:#}"))).await?;
            Ok(encode(&()))
        }
        Call::SnapshotFinish => finish_snapshot(&node, raft, from, &body).await,
        Call::Propose => Ok(encode(&ProposeReply::from(node.propose_here(body).await))),
        Call::Ask => {
            let answer = node.service_runtime.spawn(node.service.serve(from, body)).await;
            let answer: Result<Blob, String> = match answer {
                Ok(answer) => answer.map(Blob),
                Err(error) => Err(format!("the call failed: {error}")),
            };
            Ok(encode(&answer))
        }
        Call::Status => Ok(encode(&node.own_status())),
        Call::Hello | Call::Form => Err("answered before".into()),
    }
}

async fn reply<'a, Q, A, E, F>(body: &[u8], serve: impl FnOnce(Q) -> F) -> Result<Bytes, String>
where
    Q: DeserializeOwned,
    A: Serialize,
    E: std::fmt::Display,
    F: Future<Output = Result<A, E>> + 'a,
{
    let answer = serve(decode(body)?).await.map_err(|error| error.to_string())?;
    Ok(encode(&answer))
}

async fn finish_snapshot(node: &Node, raft: &RaftNode, from: NodeId, body: &[u8]) -> Result<Bytes, String> {
    let finish: super::super::transport::Finish = decode(body)?;
    let receiver = Arc::clone(&node.receiver);
    let name = finish.name;
    let files = blocking(move || receiver.finish(from.0, &name).map_err(|error| format!("{error:#}"))).await?;
    let snapshot = Snapshot { meta: finish.meta, snapshot: files };
    let answer = raft.install_full_snapshot(finish.vote, snapshot).await.map_err(|error| error.to_string())?;
    Ok(encode(&answer))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(format!("the call failed: {error}")))
}

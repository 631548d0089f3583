//! How a node answers its peers.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::acknowledged::Acknowledged;
use super::super::damage;
use super::super::formation::{self, Form, Hello};
use super::super::snapshot::Snapshot;
use super::super::transport::{Arrived, Call, Finish, Inbound, Introduction, decode, encode};
use super::super::types::{Blob, TypeConfig, Vote};
use super::leaders::Leader;
use super::node::Node;
use super::propose::ProposeReply;
use super::words::PeerStatus;
use super::{RaftNode, gossip};
use crate::domain::{NodeId, Schema};

impl Node {
    fn hello(&self) -> Hello {
        let identity = self.identity.get();
        let begun = !self.storage.log.is_pristine();
        let mut members: Vec<u64> = identity
            .cluster
            .iter()
            .flat_map(|formed| formed.members.iter().map(|member| member.id.0))
            .chain(self.raft_metrics().iter().flat_map(|m| m.membership_config.nodes().map(|(id, _)| *id)))
            .collect();
        // Those that were members once, too: nobody else may come with their ids.
        if let Ok(roster) = self.storage.state.db().roster() {
            members.extend(roster.used);
        }
        members.sort_unstable();
        members.dedup();
        Hello {
            node: self.id().0,
            cluster_name: self.settings.cluster_name.clone(),
            cluster_id: identity.cluster.map(|formed| formed.id.to_string()),
            listed: if self.settings.join { Vec::new() } else { formation::listed(&self.settings.members) },
            begun,
            members,
            supports: self.machine.newest().0,
            process: Some(self.process),
            url: Some(self.settings.url.clone()),
            peer: Some(self.settings.peer_url.clone()),
        }
    }

    /// Whether this node can read the entries that a leader sends. It stops before it stores one that it cannot.
    fn check_entries(&self, request: &AppendRequest) -> Result<(), String> {
        let commands = request.entries.iter().filter_map(|entry| match &entry.payload {
            EntryPayload::Normal(command) => Some(&command.0),
            EntryPayload::Blank | EntryPayload::Membership(_) => None,
        });
        for command in commands {
            self.machine.check_frame(command).map_err(|fault| {
                self.stopper.stop(fault.0.clone());
                fault.0
            })?;
        }
        Ok(())
    }

    /// Another member asks for votes, or leads: it has voted for itself, and that is on its disk.
    fn stands_for(&self, member: NodeId, vote: &Vote) {
        self.storage.recollections.note(member, Acknowledged::new(vote, None));
    }

    fn accept_form(&self, form: Form) -> Result<(), String> {
        self.identity.change(|identity| formation::accept(identity, form))
    }

    /// The answer to a piece of a snapshot that was not taken in. A disk that refuses it ends this node: it would be sent
    /// again and again, and nobody would know why.
    fn refuses(&self, error: &anyhow::Error) -> String {
        let text = format!("{error:#}");
        let told = damage::with_remedy(format!("cannot take in a snapshot: {text}"));
        if told.ends_with(&text) {
            return text;
        }
        self.stopper.stop(told);
        text
    }
}

type AppendRequest = AppendEntriesRequest<TypeConfig>;

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
            let accepting = Arc::clone(&node);
            return blocking(&node, move || accepting.accept_form(form)).await.map(|()| encode(&()));
        }
        _ => {}
    }
    debug_assert!(!arrived.call.before_forming());
    let ours = node.identity.cluster_id().ok_or_else(|| format!("node {} is not part of a cluster yet", node.id()))?;
    if arrived.cluster != Some(ours) {
        return Err(match arrived.cluster {
            Some(theirs) => format!("node {} belongs to cluster {ours}, and the caller to cluster {theirs}", node.id()),
            None => format!("node {} belongs to cluster {ours}, and the caller to none", node.id()),
        });
    }
    // While both of them start, too.
    if arrived.call == Call::Recall {
        return Ok(encode(&node.recall(arrived.from, &decode(&arrived.body)?)));
    }
    let raft = node.raft.get().cloned().ok_or_else(|| format!("node {} is starting", node.id()))?;
    serve_member(node, &raft, arrived).await
}

async fn serve_member(node: Arc<Node>, raft: &RaftNode, arrived: Arrived) -> Result<Bytes, String> {
    let (from, body) = (arrived.from, arrived.body);
    // What is acknowledged there. A pre-vote binds nobody.
    let binds =
        matches!(arrived.call, Call::Append | Call::Heartbeat | Call::Vote | Call::Transfer | Call::SnapshotFinish);
    if binds && !node.is_introduced(from) {
        node.introduce_to(from).await?;
    }
    match arrived.call {
        Call::Append | Call::Heartbeat => {
            let request: AppendRequest = decode(&body)?;
            node.stands_for(from, &request.vote);
            node.check_entries(&request)?;
            let answer = raft.append_entries(request).await.map_err(|error| error.to_string())?;
            if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                node.leaders.hear_leader();
            }
            Ok(encode(&answer))
        }
        Call::Vote => {
            let request: VoteRequest<TypeConfig> = decode(&body)?;
            node.stands_for(from, &request.vote);
            let answer = raft.vote(request).await.map_err(|error| error.to_string())?;
            Ok(encode(&answer))
        }
        Call::PreVote => reply(&body, |request| raft.pre_vote(request)).await,
        Call::Transfer => reply(&body, |request| raft.handle_transfer_leader(request)).await,
        Call::ReadIndex => {
            if node.leaders.leader() != Leader::Here {
                return Err(format!("node {} does not lead", node.id()));
            }
            node.reads.join().await.map(|index| encode(&index))
        }
        Call::SnapshotBegin => {
            let offer = decode(&body)?;
            let taking = Arc::clone(&node);
            let begin = move || taking.storage.receiver.begin(from.0, offer).map_err(|error| taking.refuses(&error));
            let there = blocking(&node, begin).await?;
            Ok(encode(&there))
        }
        Call::SnapshotPiece => {
            let piece = decode(&body)?;
            let taking = Arc::clone(&node);
            let write = move || taking.storage.receiver.write(from.0, &piece).map_err(|error| taking.refuses(&error));
            blocking(&node, write).await?;
            Ok(encode(&()))
        }
        Call::SnapshotFinish => finish_snapshot(node, raft, from, &body).await,
        Call::Propose => Ok(encode(&ProposeReply::from(node.propose_here(body).await))),
        Call::Ask => {
            let answer = node.environment.tasks.serve(node.service.serve(from, body)).await;
            let answer: Result<Blob, String> = match answer {
                Ok(answer) => answer.map(Blob),
                Err(error) => Err(format!("the call failed: {error}")),
            };
            Ok(encode(&answer))
        }
        Call::Status => {
            let state = Arc::clone(&node.storage.state);
            let removed = move || state.db().roster().map(|roster| roster.was_removed(from.0));
            let removed = blocking(&node, move || removed().map_err(|fault| fault.to_string())).await?;
            let you_acknowledged = node.storage.recollections.of(from);
            let mut own = node.own_status();
            if !node.is_introduced(from) {
                // It tells what it remembered before this one began, first.
                own.leads_up_to = None;
            }
            Ok(encode(&PeerStatus { you_were_removed: removed, you_acknowledged, ..own }))
        }
        // Not taken at its word: it only has this node ask now rather than within a second.
        Call::Removed => {
            gossip::ask_all(&node);
            Ok(encode(&()))
        }
        Call::Promise => {
            let schema = Schema(decode(&body)?);
            let promising = Arc::clone(&node);
            let promise = move || promising.identity.change(|identity| formation::promise(identity, schema));
            blocking(&node, promise).await.map(|()| encode(&()))
        }
        Call::Change => Ok(encode(&node.change_here(decode(&body)?).await)),
        Call::Hello | Call::Form | Call::Recall => Err("answered before".into()),
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

async fn finish_snapshot(node: Arc<Node>, raft: &RaftNode, from: NodeId, body: &[u8]) -> Result<Bytes, String> {
    let finish: Finish = decode(body)?;
    let (taking, name) = (Arc::clone(&node), finish.name);
    let complete = move || taking.storage.receiver.finish(from.0, &name).map_err(|error| taking.refuses(&error));
    let files = blocking(&node, complete).await?;
    let snapshot = Snapshot { meta: finish.meta, snapshot: files };
    let answer = raft.install_full_snapshot(finish.vote, snapshot).await.map_err(|error| error.to_string())?;
    Ok(encode(&answer))
}

async fn blocking<T: Send + 'static>(
    node: &Node,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    node.environment.tasks.blocking(work).await.unwrap_or_else(|ended| Err(format!("the call failed: {ended}")))
}

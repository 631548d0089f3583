//! How a cluster comes to be, once, from empty disks.
//!
//! The first member (the one with the lowest id) waits until every other listed member says that its disk is empty too.
//! Then it makes the cluster's id, writes it down, tells it to each of the others, who write it down before they
//! answer, and only then gives Raft its first entry. So:
//! - nobody votes before everybody knows the cluster, and no majority can form twice;
//! - a crash anywhere leaves either empty disks, which start over, or an id on the first member's disk, which goes on
//!   with it;
//! - a member whose disk is empty while others are past that point had a disk and lost it. It must not vote again under
//!   its id: it may have acknowledged what it does not have any more. It refuses.

mod identity;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use self::identity::Space;
pub(crate) use self::identity::{DataDir, Formed, Home, Identity, MemberFile, OwnIdentity};
use super::options::Member;
use super::transport::{Call, CallError, Peers, Target, decode, encode};
use crate::domain::{ClusterId, NodeId, Schema};

const CALL_TIMEOUT: Duration = Duration::from_secs(2);
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// What a node says of itself to one that asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub node: u64,
    pub cluster_name: String,
    pub cluster_id: Option<String>,
    /// Ids of the configured first members, in order. Empty on a node that joins.
    pub listed: Vec<u64>,
    /// Raft has begun here: the cluster is past its forming.
    pub begun: bool,
    /// Ids of the members that this node knows of, once Raft has begun.
    pub members: Vec<u64>,
    /// The newest schema that it knows.
    pub supports: u64,
    /// Drawn at the start of its process. An older version does not say.
    #[serde(default)]
    pub process: Option<u64>,
    /// Where its configuration says that users and peers reach it. An older version does not say.
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub peer: Option<String>,
}

/// The first member's word to another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Form {
    pub cluster_id: String,
    pub cluster_name: String,
    pub members: Vec<MemberFile>,
    /// The schema that the cluster uses, which the node promises to understand.
    pub schema: u64,
}

/// What a node knows while it is not part of a cluster.
pub(crate) struct Forming {
    pub node_id: NodeId,
    pub cluster_name: String,
    pub members: Vec<Member>,
    pub peers: Arc<dyn Peers>,
}

/// What the other members said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Survey {
    /// All of them are there, and empty.
    AllEmpty,
    /// Somebody is missing, or is not as far. The text is for people.
    Wait(String),
}

impl Forming {
    /// Whether this node is the one that makes the cluster.
    pub(crate) fn is_first(&self) -> bool {
        self.members.iter().map(|member| member.id).min() == Some(self.node_id)
    }

    fn others(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.id != self.node_id)
    }

    fn listed(&self) -> Vec<u64> {
        listed(&self.members)
    }

    /// Asks the other members how far they are.
    ///
    /// # Errors
    /// When this node must not take part, for good. The message says what to do.
    pub(crate) async fn ask_all(&self) -> anyhow::Result<Survey> {
        let calls = self.others().map(|member| async move { (member, self.ask(member).await) });
        let mut missing = Vec::new();
        for (member, answer) in futures_util::future::join_all(calls).await {
            match answer {
                Ok(hello) => {
                    if let Some(wait) = self.judge(member, &hello)? {
                        missing.push(wait);
                    }
                }
                Err(error) => missing.push(format!("node {} at {}: {error}", member.id, member.peer)),
            }
        }
        Ok(if missing.is_empty() { Survey::AllEmpty } else { Survey::Wait(missing.join("; ")) })
    }

    async fn ask(&self, member: &Member) -> Result<Hello, CallError> {
        let target = Target { id: member.id, address: member.peer.clone() };
        let body = self.peers.call(&target, Call::Hello, encode(&()), CALL_TIMEOUT).await?;
        decode(&body).map_err(CallError::Broken)
    }

    /// Nothing when the member is ready to form a cluster with this node, else what to wait for.
    fn judge(&self, member: &Member, hello: &Hello) -> anyhow::Result<Option<String>> {
        let NodeId(own) = self.node_id;
        if hello.cluster_name != self.cluster_name {
            let (theirs, ours) = (&hello.cluster_name, &self.cluster_name);
            return Ok(Some(format!(
                "node {} belongs to the cluster {theirs:?} and this node to {ours:?}: correct one of the configurations",
                member.id
            )));
        }
        if let Some(cluster) = &hello.cluster_id {
            if hello.begun && hello.members.contains(&own) {
                anyhow::bail!(
                    "the disk of node {own} is empty, but cluster {cluster} has used this id: a node that lost its disk \
                     must not come back under its id. Remove it (`ringmaster cluster remove {own}`) and add it under a \
                     new id; or, if the disk is only not mounted, mount it"
                );
            }
            return Ok(Some(if hello.begun {
                format!(
                    "node {} is part of cluster {cluster}, of which this node is no member: join it (set cluster.join = \
                     true here and say `ringmaster cluster add {own} …` at one of its nodes), or correct the \
                     [[cluster.members]]",
                    member.id
                )
            } else {
                format!(
                    "node {} was told of cluster {cluster}, which this node does not know. If this node lost its disk \
                     while the cluster formed, nothing is in it yet: stop all members, empty their data_dir and start them \
                     again",
                    member.id
                )
            }));
        }
        if hello.listed != self.listed() {
            return Ok(Some(format!(
                "node {} lists the members {:?} and this node {:?}: write the same [[cluster.members]] in both \
                 configurations",
                member.id,
                hello.listed,
                self.listed()
            )));
        }
        Ok(None)
    }

    /// Tells the others the cluster's id. Gives those that have not written it down yet.
    pub(crate) async fn tell_all(&self, id: ClusterId) -> Vec<String> {
        let form = Form {
            cluster_id: id.to_string(),
            cluster_name: self.cluster_name.clone(),
            members: self.members.iter().map(Into::into).collect(),
            schema: Schema::FIRST.0,
        };
        let calls = self.others().map(|member| {
            let target = Target { id: member.id, address: member.peer.clone() };
            let call = self.peers.call(&target, Call::Form, encode(&form), CALL_TIMEOUT);
            async move { call.await.err().map(|error| format!("node {} at {}: {error}", member.id, member.peer)) }
        });
        futures_util::future::join_all(calls).await.into_iter().flatten().collect()
    }
}

pub(crate) fn listed(members: &[Member]) -> Vec<u64> {
    let mut ids: Vec<u64> = members.iter().map(|member| member.id.0).collect();
    ids.sort_unstable();
    ids
}

/// What a node does with a `form` call.
///
/// # Errors
/// One sentence for the caller, when this node belongs to another cluster.
pub(crate) fn accept(identity: &Identity, form: Form) -> Result<Identity, String> {
    let id = ClusterId::parse(&form.cluster_id).ok_or("the cluster id is none")?;
    if form.cluster_name != identity.cluster_name {
        return Err(format!(
            "node {} belongs to the cluster {:?}, not to {:?}: correct one of the configurations",
            identity.node_id, identity.cluster_name, form.cluster_name
        ));
    }
    match &identity.cluster {
        Some(formed) if formed.id == id => Ok(identity.clone()),
        Some(formed) => Err(format!("node {} belongs to cluster {} already", identity.node_id, formed.id)),
        None => {
            let members = form.members.into_iter().map(Into::into).collect();
            let promised = promise(identity, Schema(form.schema))?;
            Ok(Identity { cluster: Some(Formed { id, members }), ..promised })
        }
    }
}

/// The identity of a node that has promised to understand a schema.
///
/// # Errors
/// One sentence for the caller, when it does not know the schema.
pub(crate) fn promise(identity: &Identity, schema: Schema) -> Result<Identity, String> {
    if schema > Schema::NEWEST {
        return Err(format!(
            "node {} runs a release that knows schema {} at most, and the cluster is at {schema}: start the release that \
             the other directory nodes run there, or a newer one",
            identity.node_id,
            Schema::NEWEST
        ));
    }
    Ok(Identity { promised: identity.promised.max(schema), ..identity.clone() })
}

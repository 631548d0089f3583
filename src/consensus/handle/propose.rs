//! Proposals, from any node: found the leader, sent there, tried again where that is safe.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::ClientWriteError;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::super::status::{AskError, ProposeError};
use super::super::transport::{Call, CallError, Target, decode};
use super::super::types::Blob;
use super::hope::Hope;
use super::node::{Leader, Node, Submission, Submitted};

/// The largest encoded proposal. A file of ten thousand replicas would not need as much; it bounds what one entry can
/// cost.
pub(crate) const MAX_PROPOSAL_BYTES: usize = 1 << 20;

/// How long to wait before looking for a leader again, when nothing wakes the caller earlier.
const PAUSE: Duration = Duration::from_millis(25);

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The state machine's encoded answer.
    Answer(Bytes),
    /// It is not in the log.
    NotLeader(String),
    /// It may be in the log.
    Unknown(String),
    /// It is not in the log and never will be.
    Refused(String),
    /// It is not in the log, and is not taken while the disks are nearly full.
    Full(String),
}

/// An outcome on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ProposeReply {
    Answer(Blob),
    NotLeader(String),
    Unknown(String),
    Refused(String),
    Full(String),
}

impl From<Outcome> for ProposeReply {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answer(bytes) => Self::Answer(Blob(bytes)),
            Outcome::NotLeader(text) => Self::NotLeader(text),
            Outcome::Unknown(text) => Self::Unknown(text),
            Outcome::Refused(text) => Self::Refused(text),
            Outcome::Full(text) => Self::Full(text),
        }
    }
}

impl From<ProposeReply> for Outcome {
    fn from(reply: ProposeReply) -> Self {
        match reply {
            ProposeReply::Answer(blob) => Self::Answer(blob.0),
            ProposeReply::NotLeader(text) => Self::NotLeader(text),
            ProposeReply::Unknown(text) => Self::Unknown(text),
            ProposeReply::Refused(text) => Self::Refused(text),
            ProposeReply::Full(text) => Self::Full(text),
        }
    }
}

impl Node {
    /// Proposes through whoever leads. `repeatable` says that applying the proposal twice is the same as once.
    pub(crate) async fn propose(self: Arc<Self>, proposal: Bytes, repeatable: bool) -> Result<Bytes, ProposeError> {
        let size = proposal.len();
        if size > MAX_PROPOSAL_BYTES {
            return Err(ProposeError::Refused(format!(
                "it has {size} bytes where {MAX_PROPOSAL_BYTES} are allowed: split the request"
            )));
        }
        let deadline = Instant::now() + self.tuning.propose_deadline;
        let mut uncertain: Option<String> = None;
        let mut hope = Hope::default();
        loop {
            if let Some(message) = self.stopped_message() {
                return Err(uncertain.map_or(ProposeError::Stopped(message), ProposeError::OutcomeUnknown));
            }
            let attempt = self.propose_once(proposal.clone(), deadline, &mut hope);
            let outcome = match timeout_at(deadline, attempt).await {
                Ok(outcome) => outcome,
                Err(_) => Outcome::Unknown("no answer in time".into()),
            };
            let reason = match outcome {
                Outcome::Answer(answer) => return Ok(answer),
                Outcome::Refused(text) => return Err(ProposeError::Refused(text)),
                // An earlier attempt may be in the log.
                Outcome::Full(text) => {
                    return Err(uncertain.map_or(ProposeError::Full(text), ProposeError::OutcomeUnknown));
                }
                Outcome::NotLeader(reason) => reason,
                Outcome::Unknown(reason) => {
                    if !repeatable {
                        return Err(ProposeError::OutcomeUnknown(reason));
                    }
                    uncertain = Some(reason.clone());
                    reason
                }
            };
            if Instant::now() + PAUSE >= deadline || hope.given_up(&self).is_some() {
                return Err(uncertain.map_or(ProposeError::NoLeader(reason), ProposeError::OutcomeUnknown));
            }
            self.pause().await;
        }
    }

    /// Waits a little, less where the news of a leader arrives earlier.
    pub(super) async fn pause(&self) {
        let (mut office, mut status) = (self.office.subscribe(), self.status.subscribe());
        tokio::select! {
            _ = office.changed() => {}
            _ = status.changed() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }

    async fn propose_once(&self, proposal: Bytes, deadline: Instant, hope: &mut Hope) -> Outcome {
        let target = match self.leader() {
            Leader::Here => return self.propose_here(proposal, hope).await,
            Leader::There(target) => target,
            Leader::Unknown(reason) | Leader::Lost(reason) => return Outcome::NotLeader(reason),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let call = self.peers.call(&target, Call::Propose, proposal, left);
        let Some(answered) = self.while_it_leads(&target, call).await else {
            return Outcome::Unknown(format!("node {} stopped leading before it answered", target.id));
        };
        match answered {
            Ok(body) => decode::<ProposeReply>(&body).map_or_else(Outcome::Unknown, Outcome::from),
            Err(CallError::Unreachable(text)) => Outcome::NotLeader(format!("node {}: {text}", target.id)),
            // It refused to look at the call at all: it is starting, or of another cluster.
            Err(CallError::Refused(text)) => Outcome::NotLeader(text),
            Err(CallError::Broken(text)) => Outcome::Unknown(format!("node {} did not answer: {text}", target.id)),
        }
    }

    /// The answer of a call to the leader, or nothing once it no longer counts as the leader: one that hangs must not
    /// hold up what its successor could do.
    pub(super) async fn while_it_leads<T>(&self, target: &Target, call: impl Future<Output = T>) -> Option<T> {
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                answer = &mut call => return Some(answer),
                () = tokio::time::sleep(PAUSE) => {
                    if self.leader() != Leader::There(target.clone()) {
                        return None;
                    }
                }
            }
        }
    }

    /// Proposes on this node, which must lead, for a caller with some hope left.
    pub(super) async fn propose_here(&self, proposal: Bytes, hope: &mut Hope) -> Outcome {
        if proposal.len() > MAX_PROPOSAL_BYTES {
            return Outcome::Refused("the proposal is too large".into());
        }
        match self.leader() {
            Leader::Here => {}
            Leader::There(target) => return Outcome::NotLeader(format!("node {} leads", target.id)),
            Leader::Unknown(reason) | Leader::Lost(reason) => return Outcome::NotLeader(reason),
        }
        if self.closing.load(Ordering::Acquire) {
            return Outcome::NotLeader("the leader is shutting down".into());
        }
        let (reply, submitted) = oneshot::channel();
        if self.proposals.send(Submission { proposal, reply }).await.is_err() {
            return Outcome::NotLeader("the leader is stopping".into());
        }
        let receiver = match submitted.await {
            Ok(Submitted::Waiting(receiver)) => receiver,
            Ok(Submitted::NotLeader) => return Outcome::NotLeader("the leader has not taken office yet".into()),
            Ok(Submitted::Refused(text)) => return Outcome::Refused(text),
            Ok(Submitted::Full(text)) => return Outcome::Full(text),
            Err(_) => return Outcome::Unknown("the leader stopped".into()),
        };
        // In the log, and nobody to commit it: another node may have done so, or may yet.
        let Ok(written) = self.unless_lost(hope, receiver).await else {
            return Outcome::Unknown("the leader hears no majority of the nodes any more".into());
        };
        match written {
            Ok(Ok(response)) => Outcome::Answer(response.data.0),
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Outcome::NotLeader("leadership has changed".into()),
            // A truncated entry may live on in another node's log and be committed by a later leader.
            Ok(Err(error)) => Outcome::Unknown(error.to_string()),
            Err(_) => Outcome::Unknown("the leader stopped".into()),
        }
    }

    /// Asks the floor above on another node, or here.
    pub(crate) async fn ask(&self, target: &Target, request: Bytes) -> Result<Bytes, AskError> {
        let node = target.id;
        if node == self.id {
            return self.service.serve(node, request).await.map_err(|cause| AskError::Refused { node, cause });
        }
        let call = self.peers.call(target, Call::Ask, request, self.tuning.propose_deadline);
        let answer = if self.leader() == Leader::There(target.clone()) {
            let gone = || CallError::Broken("it stopped leading before it answered".to_owned());
            self.while_it_leads(target, call).await.unwrap_or_else(|| Err(gone()))
        } else {
            call.await
        };
        let body = answer.map_err(|error| match error {
            CallError::Refused(cause) => AskError::Refused { node, cause },
            CallError::Unreachable(cause) | CallError::Broken(cause) => AskError::Unreachable { node, cause },
        })?;
        match decode::<Result<Blob, String>>(&body) {
            Ok(Ok(blob)) => Ok(blob.0),
            Ok(Err(cause)) | Err(cause) => Err(AskError::Refused { node, cause }),
        }
    }
}

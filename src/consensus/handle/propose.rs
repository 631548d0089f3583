//! Proposals, from any node: found the leader, sent there, tried again where that is safe.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::ClientWriteError;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::status::{AskError, ProposeError};
use super::super::transport::{Call, CallError, Target, decode};
use super::super::types::Blob;
use super::leaders::Leader;
use super::node::Node;
use super::submission::{Submitted, Unanswered};

/// The largest encoded proposal. A file of ten thousand replicas would not need as much; it bounds what one entry can
/// cost.
pub(crate) const MAX_PROPOSAL_BYTES: usize = 1 << 20;

/// How long to wait before a leader is asked again that did not take it, when nothing wakes the caller earlier.
const PAUSE: Duration = Duration::from_millis(25);

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProposeOutcome {
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

impl From<ProposeOutcome> for ProposeReply {
    fn from(outcome: ProposeOutcome) -> Self {
        match outcome {
            ProposeOutcome::Answer(bytes) => Self::Answer(Blob(bytes)),
            ProposeOutcome::NotLeader(text) => Self::NotLeader(text),
            ProposeOutcome::Unknown(text) => Self::Unknown(text),
            ProposeOutcome::Refused(text) => Self::Refused(text),
            ProposeOutcome::Full(text) => Self::Full(text),
        }
    }
}

impl From<ProposeReply> for ProposeOutcome {
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
        let deadline = Instant::now() + self.settings.tuning.propose_deadline;
        let mut uncertain: Option<String> = None;
        loop {
            if let Some(message) = self.stopped_message() {
                return Err(uncertain.map_or(ProposeError::Stopped(message), ProposeError::OutcomeUnknown));
            }
            let attempt = self.propose_once(proposal.clone(), deadline);
            let outcome = match timeout_at(deadline, attempt).await {
                Ok(outcome) => outcome,
                Err(_) => ProposeOutcome::Unknown("no answer in time".into()),
            };
            let reason = match outcome {
                ProposeOutcome::Answer(answer) => return Ok(answer),
                ProposeOutcome::Refused(text) => return Err(ProposeError::Refused(text)),
                // An earlier attempt may be in the log.
                ProposeOutcome::Full(text) => {
                    return Err(uncertain.map_or(ProposeError::Full(text), ProposeError::OutcomeUnknown));
                }
                ProposeOutcome::NotLeader(reason) => reason,
                ProposeOutcome::Unknown(reason) => {
                    if !repeatable {
                        return Err(ProposeError::OutcomeUnknown(reason));
                    }
                    uncertain = Some(reason.clone());
                    reason
                }
            };
            if !self.is_worth_a_retry(deadline).await {
                return Err(uncertain.map_or(ProposeError::NoLeader(reason), ProposeError::OutcomeUnknown));
            }
        }
    }

    /// Returns when an attempt that found no leader, or one that did not do it, may fare better; false where none will
    /// before the deadline, or where callers should go to another node.
    pub(super) async fn is_worth_a_retry(&self, deadline: Instant) -> bool {
        let seen = self.leaders.verdict().get();
        let leadership = self.submissions.leadership();
        let wait = async {
            tokio::select! {
                biased;
                // The caller finds out why.
                () = self.stopper.ends() => {}
                () = self.leaders.verdict().changed_from(&seen) => {}
                () = self.submissions.published().changed_from(&leadership) => {}
                // It leads, and would not take it: it has begun to lead or to follow, and does not know it yet.
                () = sleep(PAUSE), if matches!(*seen, Leader::Here | Leader::There(_)) => {}
            }
        };
        !matches!(*seen, Leader::Lost(_)) && timeout_at(deadline, wait).await.is_ok()
    }

    async fn propose_once(&self, proposal: Bytes, deadline: Instant) -> ProposeOutcome {
        let target = match self.leaders.leader() {
            Leader::Here => return self.propose_here(proposal).await,
            Leader::There(target) => target,
            Leader::Unknown(reason) | Leader::Lost(reason) => return ProposeOutcome::NotLeader(reason),
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let call = self.environment.peers.call(&target, Call::Propose, proposal, left);
        let Some(answered) = self.leaders.while_it_leads(&target, call).await else {
            return ProposeOutcome::Unknown(format!("node {} stopped leading before it answered", target.id));
        };
        match answered {
            Ok(body) => decode::<ProposeReply>(&body).map_or_else(ProposeOutcome::Unknown, ProposeOutcome::from),
            Err(CallError::Unreachable(text)) => ProposeOutcome::NotLeader(format!("node {}: {text}", target.id)),
            // It refused to look at the call at all: it is starting, or of another cluster.
            Err(CallError::Refused(text)) => ProposeOutcome::NotLeader(text),
            Err(CallError::Broken(text)) => {
                ProposeOutcome::Unknown(format!("node {} did not answer: {text}", target.id))
            }
        }
    }

    /// Proposes on this node, which must lead.
    pub(super) async fn propose_here(&self, proposal: Bytes) -> ProposeOutcome {
        if proposal.len() > MAX_PROPOSAL_BYTES {
            return ProposeOutcome::Refused("the proposal is too large".into());
        }
        match self.leaders.leader() {
            Leader::Here => {}
            Leader::There(target) => return ProposeOutcome::NotLeader(format!("node {} leads", target.id)),
            Leader::Unknown(reason) | Leader::Lost(reason) => return ProposeOutcome::NotLeader(reason),
        }
        if self.stopper.is_closing() {
            return ProposeOutcome::NotLeader("the leader is shutting down".into());
        }
        let receiver = match self.submissions.submit(proposal).await {
            Ok(Submitted::Waiting(receiver)) => receiver,
            Ok(Submitted::NotLeader) => {
                return ProposeOutcome::NotLeader("the leadership of this node has not begun yet".into());
            }
            Ok(Submitted::Refused(text)) => return ProposeOutcome::Refused(text),
            Ok(Submitted::Full(text)) => return ProposeOutcome::Full(text),
            Err(Unanswered::NotTaken) => return ProposeOutcome::NotLeader("the leader is stopping".into()),
            Err(Unanswered::Taken) => return ProposeOutcome::Unknown("the leader stopped".into()),
        };
        // In the log, and nobody to commit it: another node may have done so, or may yet.
        let Some(written) = self.leaders.unless_lost(receiver).await else {
            return ProposeOutcome::Unknown("the leader hears no majority of the nodes any more".into());
        };
        match written {
            Ok(Ok(response)) => ProposeOutcome::Answer(response.data.0),
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => ProposeOutcome::NotLeader("leadership has changed".into()),
            // A truncated entry may live on in another node's log and be committed by a later leader.
            Ok(Err(error)) => ProposeOutcome::Unknown(error.to_string()),
            Err(_) => ProposeOutcome::Unknown("the leader stopped".into()),
        }
    }

    /// Asks the floor above on another node, or here.
    pub(crate) async fn ask(&self, target: &Target, request: Bytes) -> Result<Bytes, AskError> {
        let node = target.id;
        if node == self.id() {
            return self.service.serve(node, request).await.map_err(|cause| AskError::Refused { node, cause });
        }
        let call = self.environment.peers.call(target, Call::Ask, request, self.settings.tuning.propose_deadline);
        let answer = if self.leaders.leader() == Leader::There(target.clone()) {
            let gone = || CallError::Broken("it stopped leading before it answered".to_owned());
            self.leaders.while_it_leads(target, call).await.unwrap_or_else(|| Err(gone()))
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

//! Whether a file server is dead is asked of all directory nodes: a server that the leader alone cannot reach is not.
//!
//! Each node that is asked looks for itself, at the address in its own state. It answers that it reaches the server,
//! that it does not, or that it cannot tell (its state is of another moment). Only a majority of **all** voters, this
//! node among them, that do not reach the server condemns it; a node that does not answer says nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::consensus::Handle;
use crate::directory::lookout::{Lookout, ReachCall, ReachReply};
use crate::directory::peers::{self, PeerCall, PeerReply};
use crate::domain::{Epoch, NodeId, ServerId};

/// For all answers. A probe takes a second at the most, and the asking node's own runs at the same time.
const DEADLINE: Duration = Duration::from_secs(2);

/// What the nodes said.
#[derive(Debug)]
pub(super) struct Poll {
    voters: usize,
    said: BTreeMap<NodeId, Option<ReachReply>>,
}

impl Poll {
    fn of(voters: usize) -> Self {
        Self { voters, said: BTreeMap::new() }
    }

    /// Whether a majority of all voters does not reach the server.
    pub(super) fn condemns(&self) -> bool {
        let against = |said: &&Option<ReachReply>| matches!(said, Some(ReachReply::NotReached { .. }));
        self.voters > 0 && self.said.values().filter(against).count() > self.voters / 2
    }
}

impl fmt::Display for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (node, said)) in self.said.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match said {
                Some(ReachReply::Reached) => write!(f, "{comma}node {node} reaches it")?,
                Some(ReachReply::NotReached { cause }) => write!(f, "{comma}node {node} does not ({cause})")?,
                Some(ReachReply::CannotTell) => write!(f, "{comma}node {node} cannot tell")?,
                None => write!(f, "{comma}node {node} does not answer")?,
            }
        }
        write!(f, " ({} voters)", self.voters)
    }
}

/// Asks all voters, and returns when a majority has condemned the server, all have answered, or the time is over.
pub(super) async fn consult(handle: &Handle, lookout: &Lookout, server_id: ServerId, epoch: Epoch) -> Poll {
    let status = handle.status();
    let voters: Vec<NodeId> = status.members.iter().filter(|member| member.voter).map(|member| member.id).collect();
    let call = ReachCall { server_id, epoch };
    let mut asked: FuturesUnordered<_> = voters
        .iter()
        .map(async |node| {
            if *node == status.node_id {
                return (*node, Some(lookout.answer(handle, call).await));
            }
            match peers::ask(handle, *node, &PeerCall::Reach(call)).await {
                Ok(PeerReply::Reach(said)) => (*node, Some(said)),
                _ => (*node, None),
            }
        })
        .collect();
    let mut poll = Poll::of(voters.len());
    let _ = tokio::time::timeout(DEADLINE, async {
        while let Some((node, said)) = asked.next().await {
            poll.said.insert(node, said);
            if poll.condemns() {
                return;
            }
        }
    })
    .await;
    poll
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(voters: usize, said: &[Option<ReachReply>]) -> Poll {
        let said = said.iter().enumerate().map(|(at, said)| (NodeId(at as u64 + 1), said.clone())).collect();
        Poll { voters, said }
    }

    #[test]
    fn a_majority_of_all_voters_condemns_and_silence_is_no_vote() {
        let yes = Some(ReachReply::Reached);
        let no = Some(ReachReply::NotReached { cause: "refused".to_owned() });
        let unsure = Some(ReachReply::CannotTell);
        for (voters, said, condemns) in [
            (0, vec![], false),
            (1, vec![no.clone()], true),
            (1, vec![yes.clone()], false),
            (2, vec![no.clone(), None], false),
            (2, vec![no.clone(), no.clone()], true),
            (3, vec![no.clone()], false),
            (3, vec![no.clone(), None, None], false),
            (3, vec![no.clone(), unsure.clone(), unsure], false),
            (3, vec![no.clone(), yes.clone(), yes.clone()], false),
            (3, vec![yes.clone(), no.clone(), no.clone()], true),
            (3, vec![no.clone(), no.clone(), None], true),
            (5, vec![no.clone(), no.clone(), None, None, None], false),
            (5, vec![no.clone(), no.clone(), no, yes.clone(), yes], true),
        ] {
            let poll = poll(voters, &said);
            assert_eq!(poll.condemns(), condemns, "{poll}");
        }
    }
}

//! Many small results, few log entries.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::directory::node::App;
use crate::domain::terms::{MAX_REHOMES, NewHome};
use crate::domain::{Command, Outcome, Proposal, command};

/// How long a result waits for others to share its entry with.
const GATHER: Duration = Duration::from_millis(10);

/// Whether a change took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    Done,
    /// The record had changed meanwhile.
    Refused,
    /// Nobody knows: the leader changed, or there is no majority.
    Unknown,
}

type Item = (NewHome, oneshot::Sender<Committed>);

/// Takes changes. The task that commits them ends when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Committer {
    sender: mpsc::Sender<Item>,
}

impl Committer {
    pub(super) fn start(node: App) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(4 * MAX_REHOMES);
        (Self { sender }, run(node, receiver))
    }

    pub(super) async fn commit(&self, change: NewHome) -> Committed {
        let (reply, answer) = oneshot::channel();
        if self.sender.send((change, reply)).await.is_err() {
            return Committed::Unknown;
        }
        answer.await.unwrap_or(Committed::Unknown)
    }
}

async fn run(node: App, mut receiver: mpsc::Receiver<Item>) {
    let mut batch = Vec::with_capacity(MAX_REHOMES);
    while receiver.recv_many(&mut batch, MAX_REHOMES).await > 0 {
        if batch.len() < MAX_REHOMES {
            tokio::time::sleep(GATHER).await;
            while batch.len() < MAX_REHOMES
                && let Ok(item) = receiver.try_recv()
            {
                batch.push(item);
            }
        }
        let (changes, replies): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let proposal = Proposal { operation: None, command: Command::Rehome(command::Rehome { changes }) };
        let refused = match node.handle().propose(proposal).await {
            Ok(Ok(Outcome::Rehomed { refused })) => Some(refused),
            Ok(other) => {
                tracing::error!(?other, "a batch of repairs was answered in a way that is not foreseen");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "a batch of repairs could not be committed and will be made again");
                None
            }
        };
        for (position, reply) in (0_u32..).zip(replies) {
            let committed = match &refused {
                None => Committed::Unknown,
                Some(refused) if refused.contains(&position) => Committed::Refused,
                Some(_) => Committed::Done,
            };
            // Whoever asked may have been stopped.
            let _ = reply.send(committed);
        }
    }
}

//! The queue of those who wait for the leader's word on how far the log is committed.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

/// Reads that wait for a round.
pub(crate) const MAX_WAITING: usize = 16_384;

/// Whoever waits for a round.
pub(crate) type ReadWaiter = oneshot::Sender<Result<u64, String>>;

/// The queue to the task that runs the rounds, and what was counted.
pub(crate) struct ReadRounds {
    queue: mpsc::Sender<ReadWaiter>,
    rounds: AtomicU64,
    reads: AtomicU64,
}

impl ReadRounds {
    /// With the other end of the queue.
    pub(crate) fn new() -> (Self, mpsc::Receiver<ReadWaiter>) {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        (Self { queue, rounds: AtomicU64::new(0), reads: AtomicU64::new(0) }, waiting)
    }

    /// The log index that a state must have applied to hold everything acknowledged before this call.
    pub(crate) async fn join(&self) -> Result<u64, String> {
        let (sender, receiver) = oneshot::channel();
        self.queue.send(sender).await.map_err(|_| "this node is stopping".to_owned())?;
        receiver.await.unwrap_or_else(|_| Err("this node is stopping".into()))
    }

    pub(crate) fn count_round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Rounds, and the reads that they served.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (self.rounds.load(Ordering::Relaxed), self.reads.load(Ordering::Relaxed))
    }
}

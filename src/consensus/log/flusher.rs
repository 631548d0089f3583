//! The one thread that syncs the log.
//!
//! It takes everything that waits, syncs once, and tells all of them; what arrives during that sync makes up the next
//! round. So the number of syncs follows the speed of the disk and not the number of writers, and a lone writer waits
//! for no timer. One thread rather than a pool: syncs of one file queue up in the kernel anyway, and with one thread
//! the order of completions is the order of requests.
//!
//! A sync that failed is never tried again: the kernel may have dropped the dirty pages and would report success for
//! data that is gone. The process ends instead.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::super::damage;
use super::super::stopper::Stopper;
use super::super::types::IoFlushed;
use super::pace::{Pace, SyncPace};
use crate::domain::plant::{Plant, planted};
use crate::telemetry::Histogram;

pub(super) struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    syncs: AtomicU64,
    pace: Pace,
}

#[derive(Default)]
struct Queue {
    /// One for each append or vote that openraft has under way, which bounds it.
    waiting: Vec<Waiter>,
    closed: bool,
}

enum Waiter {
    Append(IoFlushed),
    Vote(oneshot::Sender<io::Result<()>>),
}

impl Waiter {
    fn complete(self, result: io::Result<()>) {
        match self {
            Self::Append(callback) => callback.io_completed(result),
            // Nobody waits any more when the node is being stopped.
            Self::Vote(sender) => drop(sender.send(result)),
        }
    }
}

impl Flusher {
    /// `sync` makes durable all that was written before it was called; an error says what failed.
    pub(super) fn start(
        sync: impl FnMut() -> Result<(), String> + Send + 'static,
        sync_delay: Option<Duration>,
        stopper: Stopper,
    ) -> Self {
        let (queue, arrived) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { queue, arrived, syncs: AtomicU64::new(0), pace: Pace::new() });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("raft-log-sync".into())
            .spawn(move || run(sync, &for_thread, sync_delay, &stopper))
            .expect("a process that can start can start one more thread");
        Self { shared, thread: Some(thread) }
    }

    /// Calls back once everything written before this call is on the disk.
    pub(super) fn sync_then(&self, callback: IoFlushed) {
        self.enqueue(Waiter::Append(callback));
    }

    /// Returns once everything written before this call is on the disk.
    pub(super) async fn sync(&self) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        self.enqueue(Waiter::Vote(sender));
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the log is being closed")))
    }

    pub(super) fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    /// How long syncs took in the last seconds, nothing where there were none.
    pub(super) fn pace(&self) -> Option<SyncPace> {
        self.shared.pace.of_late(Instant::now())
    }

    /// How long each sync took, in seconds.
    pub(super) fn durations(&self) -> Histogram {
        self.shared.pace.all()
    }

    fn enqueue(&self, waiter: Waiter) {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).waiting.push(waiter);
        self.shared.arrived.notify_one();
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log's sync thread panicked");
        }
    }
}

fn run(mut sync: impl FnMut() -> Result<(), String>, shared: &Shared, sync_delay: Option<Duration>, stopper: &Stopper) {
    let mut failure: Option<String> = None;
    loop {
        let waiting = {
            let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
            while queue.waiting.is_empty() && !queue.closed {
                queue = shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            if queue.waiting.is_empty() {
                return;
            }
            std::mem::take(&mut queue.waiting)
        };
        if failure.is_none() && !planted(Plant::NoLogSync) {
            shared.pace.begin(Instant::now());
            if let Some(delay) = sync_delay {
                std::thread::sleep(delay);
            }
            if let Err(error) = sync() {
                let message = damage::with_remedy(error);
                stopper.stop(message.clone());
                failure = Some(message);
            }
            shared.pace.end(Instant::now());
            shared.syncs.fetch_add(1, Ordering::Relaxed);
        }
        for waiter in waiting {
            waiter.complete(failure.clone().map_or(Ok(()), |message| Err(io::Error::other(message))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_sync_is_final_and_stops_the_node() {
        let stopper = Stopper::new();
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        let sync = move || match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            1 => Err("cannot sync /disk: IO error: it is gone".to_owned()),
            _ => Ok(()),
        };
        let flusher = Flusher::start(sync, None, stopper.clone());
        flusher.sync().await.unwrap();
        for _ in 0..3 {
            let error = flusher.sync().await.unwrap_err().to_string();
            assert!(error.contains("cannot sync /disk: IO error: it is gone"), "{error}");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 2, "it is not tried again");
        assert!(stopper.message().unwrap().contains("check it (dmesg, df)"));
    }
}

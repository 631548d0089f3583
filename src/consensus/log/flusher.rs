//! The one thread that syncs the log.
//!
//! It takes everything that waits, syncs once, and tells all of them; what arrives during that sync makes up the next
//! round. So the number of syncs follows the speed of the disk and not the number of writers, and a lone writer waits
//! for no timer. One thread rather than a pool: syncs of one file queue up in the kernel anyway, and with one thread
//! the order of completions is the order of requests.
//!
//! A sync that failed is never tried again: the kernel may have dropped the dirty pages and would report success for
//! data that is gone. The process ends instead.
//!
//! A medium whose sync is modelled gets a task in the thread's place, which does the same in the same order.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openraft::async_runtime::AsyncRuntime;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::super::damage;
use super::super::runtime::Runtime;
use super::super::stopper::Stopper;
use super::super::types::IoFlushed;
use super::medium::Syncs;
use super::pace::{Pace, SyncPace};
use crate::domain::plant::{Plant, planted};
use crate::telemetry::Histogram;

pub(super) struct Flusher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a flusher is started with.
pub(super) struct FlusherOptions {
    /// A test switch: every sync takes this much longer.
    pub sync_delay: Option<Duration>,
    pub stopper: Stopper,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the thread.
    arrived: Condvar,
    /// Wakes the task, where there is one.
    arrived_for_task: Notify,
    syncs: AtomicU64,
    /// One more than the last entry that was appended by this process and synced.
    synced: AtomicU64,
    pace: Pace,
    options: FlusherOptions,
}

#[derive(Default)]
struct Queue {
    /// One for each append or vote that openraft has under way, which bounds it.
    waiting: Vec<Waiter>,
    closed: bool,
}

enum Waiter {
    /// With the last entry of it.
    Append(IoFlushed, Option<u64>),
    Vote(oneshot::Sender<io::Result<()>>),
}

impl Waiter {
    fn complete(self, shared: &Shared, result: io::Result<()>) {
        match self {
            Self::Append(callback, last) => {
                if let (Ok(()), Some(last)) = (&result, last) {
                    shared.synced.store(last + 1, Ordering::Relaxed);
                }
                callback.io_completed(result);
            }
            // Nobody waits any more when the node is being stopped.
            Self::Vote(sender) => drop(sender.send(result)),
        }
    }
}

impl Flusher {
    /// Each sync of `syncs` makes durable all that was written before it was called; an error says what failed.
    pub(super) fn start(syncs: Syncs, options: FlusherOptions) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            arrived_for_task: Notify::new(),
            syncs: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            pace: Pace::new(),
            options,
        });
        let rounds = SyncRounds { shared: Arc::clone(&shared), failure: None };
        let thread = match syncs {
            Syncs::Blocking(sync) => {
                let thread = std::thread::Builder::new().name("raft-log-sync".into());
                let started = thread.spawn(move || on_thread(rounds, sync));
                Some(started.expect("a process that can start can start one more thread"))
            }
            Syncs::Modelled(sync) => {
                drop(Runtime::spawn(in_task(rounds, sync)));
                None
            }
        };
        Self { shared, thread }
    }

    /// Calls back once everything written before this call is on the disk.
    pub(super) fn sync_then(&self, callback: IoFlushed, last: Option<u64>) {
        self.enqueue(Waiter::Append(callback, last));
    }

    /// The last entry that is on the disk, of those that this process has appended.
    pub(super) fn synced_upto(&self) -> Option<u64> {
        self.shared.synced.load(Ordering::Relaxed).checked_sub(1)
    }

    /// What came after `last` is cut off, durably, and nothing is appended meanwhile.
    pub(super) fn cut(&self, last: Option<u64>) {
        self.shared.synced.fetch_min(last.map_or(0, |last| last + 1), Ordering::Relaxed);
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
        self.shared.lock().waiting.push(waiter);
        self.shared.notify();
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.notify();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the log's sync thread panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.arrived.notify_one();
        self.arrived_for_task.notify_one();
    }
}

/// What a round of either kind does before and after its sync.
struct SyncRounds {
    shared: Arc<Shared>,
    failure: Option<String>,
}

impl SyncRounds {
    /// Whether this round is synced at all, and since when.
    fn begin(&self) -> bool {
        let synced = self.failure.is_none() && !planted(Plant::NoLogSync);
        if synced {
            self.shared.pace.begin(Instant::now());
        }
        synced
    }

    fn end(&mut self, result: Result<(), String>) {
        if let Err(error) = result {
            let message = damage::with_remedy(error);
            self.shared.options.stopper.stop(message.clone());
            self.failure = Some(message);
        }
        self.shared.pace.end(Instant::now());
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
    }

    fn tell(&self, waiting: Vec<Waiter>) {
        for waiter in waiting {
            waiter
                .complete(&self.shared, self.failure.clone().map_or(Ok(()), |message| Err(io::Error::other(message))));
        }
    }
}

fn on_thread(mut rounds: SyncRounds, mut sync: Box<dyn FnMut() -> Result<(), String> + Send>) {
    let shared = Arc::clone(&rounds.shared);
    loop {
        let waiting = {
            let mut queue = shared.lock();
            while queue.waiting.is_empty() && !queue.closed {
                queue = shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            if queue.waiting.is_empty() {
                return;
            }
            std::mem::take(&mut queue.waiting)
        };
        if rounds.begin() {
            if let Some(delay) = shared.options.sync_delay {
                std::thread::sleep(delay);
            }
            rounds.end(sync());
        }
        rounds.tell(waiting);
    }
}

async fn in_task(mut rounds: SyncRounds, mut sync: Box<dyn FnMut() -> BoxFuture<'static, Result<(), String>> + Send>) {
    let shared = Arc::clone(&rounds.shared);
    loop {
        let (waiting, closed) = {
            let mut queue = shared.lock();
            (std::mem::take(&mut queue.waiting), queue.closed)
        };
        if waiting.is_empty() {
            if closed {
                return;
            }
            // A call that came since is remembered.
            shared.arrived_for_task.notified().await;
            continue;
        }
        if rounds.begin() {
            if let Some(delay) = shared.options.sync_delay {
                tokio::time::sleep(delay).await;
            }
            let result = sync().await;
            rounds.end(result);
        }
        rounds.tell(waiting);
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
        let options = FlusherOptions { sync_delay: None, stopper: stopper.clone() };
        let flusher = Flusher::start(Syncs::Blocking(Box::new(sync)), options);
        flusher.sync().await.unwrap();
        for _ in 0..3 {
            let error = flusher.sync().await.unwrap_err().to_string();
            assert!(error.contains("cannot sync /disk: IO error: it is gone"), "{error}");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 2, "it is not tried again");
        assert!(stopper.message().unwrap().contains("check it (dmesg, df)"));
    }
}

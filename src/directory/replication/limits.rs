//! What the job may take of the machines: streams per file server, and bytes per second in all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::ServerId;

/// A clone shares the limits.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Copyings that one server takes part in at once, as source or as target.
    streams: u32,
    bytes_per_second: u64,
    used: Mutex<BTreeMap<ServerId, u32>>,
    freed: Notify,
    /// When all that was admitted so far is through at the given rate.
    through: Mutex<Instant>,
}

/// Bytes that may be moved. What was not moved after all is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Allowance {
    shared: Arc<Shared>,
    /// How fast.
    pub(super) bytes_per_second: u64,
    start: Instant,
    takes: Duration,
}

impl Allowance {
    /// The bytes were moved.
    pub(super) fn spend(mut self) {
        self.takes = Duration::ZERO;
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        // What has gone by is gone.
        let unused = self.takes.saturating_sub(self.start.elapsed());
        let mut through = lock(&self.shared.through);
        *through = through.checked_sub(unused).unwrap_or(*through);
    }
}

/// A place at some servers. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Streams {
    shared: Arc<Shared>,
    servers: Vec<ServerId>,
}

impl Limits {
    pub(super) fn new(streams: u32, bytes_per_second: u64) -> Self {
        let (used, through) = (Mutex::default(), Mutex::new(Instant::now()));
        let bytes_per_second = bytes_per_second.max(1);
        Self {
            shared: Arc::new(Shared { streams: streams.max(1), bytes_per_second, used, freed: Notify::new(), through }),
        }
    }

    /// Waits for a stream at each of the servers. All at once or none, so that two of these never wait for one another.
    pub(super) async fn streams(&self, servers: &[ServerId]) -> Streams {
        loop {
            let freed = self.shared.freed.notified();
            tokio::pin!(freed);
            // Registered before looking, so that a place which is freed in between is not missed.
            freed.as_mut().enable();
            if self.shared.take(servers) {
                return Streams { shared: self.shared.clone(), servers: servers.to_vec() };
            }
            freed.await;
        }
    }

    /// Waits until so many bytes may be moved. Each admission gets its own stretch of time at the full
    /// rate: copies of large files come one after the other, those of small ones overlap only by what their servers take
    /// to answer.
    pub(super) async fn bytes(&self, bytes: u64) -> Allowance {
        let rate = self.shared.bytes_per_second;
        let takes = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let start = {
            let mut through = lock(&self.shared.through);
            let start = (*through).max(Instant::now());
            *through = start + takes;
            start
        };
        let allowance = Allowance { shared: self.shared.clone(), bytes_per_second: rate, start, takes };
        tokio::time::sleep_until(start).await;
        allowance
    }
}

impl Shared {
    fn take(&self, servers: &[ServerId]) -> bool {
        let mut used = lock(&self.used);
        let free = |id: &ServerId| used.get(id).copied().unwrap_or_default() < self.streams;
        if !servers.iter().all(free) {
            return false;
        }
        for id in servers {
            *used.entry(*id).or_default() += 1;
        }
        true
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        let mut used = lock(&self.shared.used);
        for id in &self.servers {
            if let Some(count) = used.get_mut(id) {
                *count = count.saturating_sub(1);
            }
        }
        drop(used);
        self.shared.freed.notify_waiters();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_no_faster_than_the_rate() {
        let limits = Limits::new(1, 10_000);
        let start = Instant::now();
        for _ in 0..5 {
            let allowance = limits.bytes(500).await;
            assert_eq!(allowance.bytes_per_second, 10_000);
            allowance.spend();
        }
        assert!(start.elapsed() >= Duration::from_millis(200), "the first comes at once, each other 50 ms later");
    }

    #[tokio::test]
    async fn what_was_not_moved_is_given_back() {
        let limits = Limits::new(1, 1);
        for _ in 0..3 {
            // An hour each, if they were spent.
            drop(limits.bytes(3600).await);
        }
    }

    #[tokio::test]
    async fn a_server_has_so_many_streams_and_no_more() {
        let limits = Limits::new(2, 1);
        let (a, b, c) = (ServerId(1), ServerId(2), ServerId(3));
        let first = limits.streams(&[a, b]).await;
        let _second = limits.streams(&[a]).await;
        let third = tokio::time::timeout(Duration::from_millis(20), limits.streams(&[c, a])).await;
        assert!(third.is_err(), "both streams of the first server are taken");
        let fourth = limits.streams(&[c]).await;
        let waiting = tokio::spawn({
            let limits = limits.clone();
            async move { limits.streams(&[a, c]).await }
        });
        drop(first);
        drop(waiting.await.expect("it gets its turn"));
        drop(fourth);
    }
}

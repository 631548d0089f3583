//! Requests that have begun and are not whole. All of them together hold no more than a budget of bytes, however many
//! there are: each piece is paid for when it comes, whatever was announced, and what finds no room is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{ApiError, ApiResult};
use crate::protocol::problem::Code;
use crate::telemetry::{Counter, Metrics};

/// The budget of a process. A clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: u64,
    held: AtomicU64,
    refused: Counter,
}

impl Budget {
    pub(crate) fn new(most: u64, metrics: &Metrics) -> Self {
        let refused = metrics.counter(
            "ringmaster_unfinished_refused_total",
            "Requests that were refused because unfinished ones hold all the memory that they may",
        );
        let budget = Self(Arc::new(Inner { most, held: AtomicU64::new(0), refused }));
        let held = budget.clone();
        metrics.observe_gauge("ringmaster_unfinished_bytes", "Bytes of requests that are not whole yet", move || {
            i64::try_from(held.0.held.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
        });
        budget
    }

    pub(crate) fn begin(&self) -> Unfinished {
        Unfinished { budget: self.clone(), bytes: Vec::new() }
    }
}

/// What has come of one request.
#[derive(Debug)]
pub(crate) struct Unfinished {
    budget: Budget,
    bytes: Vec<u8>,
}

impl Unfinished {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// # Errors
    /// When there is no room for it.
    pub(crate) fn add(&mut self, piece: &[u8]) -> ApiResult<()> {
        let (inner, more) = (&self.budget.0, piece.len() as u64);
        if inner.held.fetch_add(more, Ordering::Relaxed) + more > inner.most {
            inner.held.fetch_sub(more, Ordering::Relaxed);
            inner.refused.inc();
            return Err(ApiError::new(
                Code::Overloaded,
                "this node has too many unfinished requests in hand and nothing was done: try again in a second, or use \
                 another node",
            ));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.budget.0.held.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_gives_its_room_back() {
        let budget = Budget::new(10, &Metrics::new());
        let (mut one, mut other) = (budget.begin(), budget.begin());
        one.add(b"123456").expect("there is room");
        other.add(b"1234").expect("there is room");
        let refused = other.add(b"5").expect_err("there is none left");
        assert_eq!((refused.code, other.bytes()), (Code::Overloaded, &b"1234"[..]));
        drop(one);
        other.add(b"567890").expect("there is room again");
        drop(other);
        assert_eq!(budget.0.held.load(Ordering::Relaxed), 0);
    }
}

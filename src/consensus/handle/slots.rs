//! Who may run queries at the same time.
//!
//! A query runs on a thread for blocking work, and there are more askers than the disk and the cores serve at once. Each
//! kind of query has places of its own, so that many of one kind wait for one another and not the others for them. With
//! one row of places for all, a user with as many long listings open as there are places has the leader's jobs and
//! everybody's `/stat` wait behind them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a query is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// It reads a few rows, whoever asks.
    Point,
    /// It reads thousands of rows: a page of a list, what is owed.
    Listing,
    /// The leader's own: what is to be repaired, who is down.
    Job,
}

const POINTS: usize = 64;
/// There are few jobs, each asks one thing at a time.
const JOBS: usize = 16;

#[derive(Clone)]
pub(super) struct Slots {
    points: Arc<Semaphore>,
    listings: Arc<Semaphore>,
    jobs: Arc<Semaphore>,
}

impl Slots {
    pub(super) fn new() -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self { points: places(POINTS), listings: places(listings()), jobs: places(JOBS) }
    }

    /// Waits for a place, in the order of arrival.
    pub(super) async fn take(&self, kind: QueryKind) -> Option<OwnedSemaphorePermit> {
        let places = match kind {
            QueryKind::Point => &self.points,
            QueryKind::Listing => &self.listings,
            QueryKind::Job => &self.jobs,
        };
        // It is never closed.
        Arc::clone(places).acquire_owned().await.ok()
    }
}

/// Half of the cores: a listing computes most of the time, and the other half is for those who ask for little.
fn listings() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

//! The leader's account of what is being written: which servers new files go to while earlier ones are not committed yet.
//!
//! Without it, writers that start together all see the same counters, take the same server, and the counts of primaries
//! part by as many as there are writers. With it each choice and its entry in the account are one step under one lock.
//!
//! A file should count once: in the account until its commit is applied, in the server's row from then on. The two
//! cannot change in one step, so the order is fixed: the commit is applied, then its reservation is released. And a
//! choice takes a [`Reading`] *before* it reads the rows: what is released after that still counts for it, since
//! the rows that it holds may be older. So a file may count twice for as long as the answer takes from `apply` to the
//! writer, which makes others pass its server by for a moment; it never counts not at all, which would draw many writers
//! to one server. Reading the rows under the account's lock was the simpler way, but the lock would be held over an
//! await.
//!
//! The account is in memory alone. A new leader starts with an empty one; what was in flight then is counted when it
//! commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::SharedClock;
use crate::domain::placement::{Candidate, InFlight, choose};
use crate::domain::query::Ring;
use crate::domain::{BlobId, ServerId};

mod account;
pub mod message;
pub(crate) mod space;

use account::Account;
pub use account::LEASE;

/// What is to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// A blob that has a reservation loses it to the new one.
    pub blob_id: BlobId,
    /// The size in bytes as far as it is known, 0 otherwise.
    pub size_hint: u64,
    /// Servers that are not to be taken, for instance because they are suspect.
    pub excluded: BTreeSet<ServerId>,
}

/// Why nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    #[error("no file server is up")]
    NoFileServer,
    #[error("no file server has room")]
    Full,
    #[error("too many files are being written: try again in a moment")]
    Busy,
}

/// The account. A clone shares it.
#[derive(Clone, Debug)]
pub struct Placer {
    account: Arc<Mutex<Account>>,
    clock: SharedClock,
}

/// A place for one blob, held until this is dropped. Drop it once the outcome of the commit is known, or when there will
/// be none.
#[derive(Debug)]
pub struct Reservation {
    placer: Placer,
    blob_id: BlobId,
    number: u64,
    targets: Vec<ServerId>,
}

/// A choice that is about to read the servers' rows.
#[derive(Debug)]
pub struct Reading {
    placer: Placer,
    since: u64,
}

impl Reading {
    /// Chooses servers for an upload of this node's own. `ring` was read after this was made.
    ///
    /// # Errors
    /// When there is no place.
    pub fn reserve(self, wish: &Wish, ring: &Ring) -> Result<Reservation, NoPlace> {
        let (number, targets) = self.place(wish, ring, None)?;
        Ok(Reservation { placer: self.placer.clone(), blob_id: wish.blob_id, number, targets })
    }

    /// As [`Self::reserve`], for another node: what it does not release or renew within [`LEASE`] is released here.
    ///
    /// # Errors
    /// When there is no place.
    pub fn lease(self, wish: &Wish, ring: &Ring) -> Result<Vec<ServerId>, NoPlace> {
        self.place(wish, ring, Some(LEASE)).map(|(_, targets)| targets)
    }

    fn place(&self, wish: &Wish, ring: &Ring, lease: Option<Duration>) -> Result<(u64, Vec<ServerId>), NoPlace> {
        let now = self.placer.clock.monotonic();
        let servers: Vec<_> = ring.servers.iter().map(Candidate::from).collect();

        let mut account = self.placer.lock();
        account.expire(now);
        account.release(wish.blob_id, None);
        if account.is_full() {
            return Err(NoPlace::Busy);
        }
        let in_flight = account.in_flight_since(self.since);
        let chosen = choose(&servers, &ring.order, ring.copies, &in_flight, &wish.excluded, wish.size_hint);
        let Some(targets) = chosen else {
            let takes = |server: &&Candidate| server.up && !wish.excluded.contains(&server.server_id);
            let any_up = servers.iter().filter(takes).any(|server| ring.order.contains(&server.server_id));
            return Err(if any_up { NoPlace::Full } else { NoPlace::NoFileServer });
        };
        let until = lease.map(|lease| now.saturating_add(lease));
        Ok((account.insert(wish.blob_id, targets.clone(), wish.size_hint, until), targets))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.placer.lock().end_reading(self.since);
    }
}

impl Placer {
    pub fn new(clock: SharedClock) -> Self {
        Self { account: Arc::default(), clock }
    }

    /// To be taken before the servers' rows are read, and to be used with what was read.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let since = self.lock().begin_reading();
        Reading { placer: self.clone(), since }
    }

    /// Extends a lease. False where there is none (any more): the upload may go on, it is only not counted.
    pub fn renew(&self, blob_id: BlobId) -> bool {
        let now = self.clock.monotonic();
        let mut account = self.lock();
        account.expire(now);
        account.renew(blob_id, now.saturating_add(LEASE))
    }

    /// Ends a reservation or a lease: after its commit was applied or rejected, or when it was given up. False where
    /// there was none.
    pub fn release(&self, blob_id: BlobId) -> bool {
        let now = self.clock.monotonic();
        let mut account = self.lock();
        account.expire(now);
        account.release(blob_id, None)
    }

    /// What is placed on each server and not committed yet.
    pub fn in_flight(&self) -> BTreeMap<ServerId, InFlight> {
        let now = self.clock.monotonic();
        let mut account = self.lock();
        account.expire(now);
        account.in_flight().clone()
    }

    /// Forgets everything, when this node stops being the leader.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        // No statement under the lock can panic half-way through a change, so even a poisoned account is whole.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    pub fn blob_id(&self) -> BlobId {
        self.blob_id
    }

    /// The servers, the primary first.
    pub fn targets(&self) -> &[ServerId] {
        &self.targets
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // By its number: the blob may have been reserved anew since.
        self.placer.lock().release(self.blob_id, Some(self.number));
    }
}

#[cfg(test)]
mod tests;

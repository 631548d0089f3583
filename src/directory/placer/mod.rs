//! The leader's account of what is being written: which servers new files go to while earlier ones are not committed yet.
//!
//! Without it, writers that start together all see the same counters, take the same server, and the counts of primaries
//! part by as many as there are writers. With it each choice and its entry in the account are one step under one lock.
//!
//! A file should count once: in the account until its commit is applied, in the server's row from then on. The two
//! cannot change in one step, so the order is: the commit is applied, then the reservation is released. And a choice
//! reads the rows *under the account's lock*, so what was released before it is in the rows that it sees. In
//! between a file counts twice, for as long as the answer takes from `apply` to the writer. It never counts not at all:
//! that would draw several writers to one server, while counting twice only makes them pass it by for a moment.
//!
//! The account is in memory alone. A new leader starts with an empty one; what was in flight then is counted when it
//! commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::SharedClock;
use crate::domain::placement::{Candidate, InFlight, choose};
use crate::domain::query::Ring;
use crate::domain::rows::ServerState;
use crate::domain::{BlobId, ServerId};

mod account;
pub mod message;

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
pub enum NoPlace<E> {
    #[error("no file server is up")]
    NoFileServer,
    #[error("no file server has room")]
    Full,
    #[error("too many files are being written: try again in a moment")]
    Busy,
    /// The servers' rows could not be read.
    #[error("the file servers' rows cannot be read: {0}")]
    Unread(E),
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
    ticket: u64,
    targets: Vec<ServerId>,
}

impl Placer {
    pub fn new(clock: SharedClock) -> Self {
        Self { account: Arc::default(), clock }
    }

    /// Chooses servers for an upload of this node's own. `read` gives the ring as it is applied here; it runs under the
    /// account's lock and so must not wait for anything but the disk.
    ///
    /// # Errors
    /// When there is no place.
    pub fn reserve<E>(&self, wish: &Wish, read: impl FnOnce() -> Result<Ring, E>) -> Result<Reservation, NoPlace<E>> {
        let (ticket, targets) = self.place(wish, read, false)?;
        Ok(Reservation { placer: self.clone(), blob_id: wish.blob_id, ticket, targets })
    }

    /// As [`Self::reserve`], for another node: what it does not release or renew within [`LEASE`] is released here.
    ///
    /// # Errors
    /// When there is no place.
    pub fn lease<E>(&self, wish: &Wish, read: impl FnOnce() -> Result<Ring, E>) -> Result<Vec<ServerId>, NoPlace<E>> {
        self.place(wish, read, true).map(|(_, targets)| targets)
    }

    fn place<E>(
        &self,
        wish: &Wish,
        read: impl FnOnce() -> Result<Ring, E>,
        leased: bool,
    ) -> Result<(u64, Vec<ServerId>), NoPlace<E>> {
        let now = self.clock.monotonic();
        let mut account = self.lock();
        account.expire(now);
        account.release(wish.blob_id, None);
        if account.is_full() {
            return Err(NoPlace::Busy);
        }
        let ring = read().map_err(NoPlace::Unread)?;
        let servers: Vec<_> = ring.servers.iter().map(Candidate::from).collect();
        let chosen =
            choose(&servers, &ring.order, ring.copies, account.in_flight(), &wish.excluded, wish.size_hint);
        let Some(targets) = chosen else {
            let any_up = servers.iter().any(|server| {
                server.up && !wish.excluded.contains(&server.server_id) && ring.order.contains(&server.server_id)
            });
            return Err(if any_up { NoPlace::Full } else { NoPlace::NoFileServer });
        };
        let until = leased.then(|| now.saturating_add(LEASE));
        Ok((account.insert(wish.blob_id, targets.clone(), wish.size_hint, until), targets))
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
        self.lock().release(blob_id, None)
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
        *self.lock() = Account::default();
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        // The account is whole between any two of its statements that can panic: there is none.
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
        self.placer.lock().release(self.blob_id, Some(self.ticket));
    }
}

/// Where the copies may go that a write lost on its way: the servers behind the primary in the ring, in its order, that
/// are up, have room, are not excluded, and hold no copy. `holders` are those that do, the primary first.
pub fn substitutes(ring: &Ring, holders: &[ServerId], excluded: &BTreeSet<ServerId>) -> Vec<ServerId> {
    let takes = |id: &ServerId| {
        !holders.contains(id)
            && !excluded.contains(id)
            && ring
                .servers
                .iter()
                .any(|server| server.server_id == *id && server.state == ServerState::Up && !server.full)
    };
    let start = ring.order.iter().position(|id| Some(id) == holders.first()).unwrap_or(0);
    ring.order.iter().cycle().skip(start).take(ring.order.len()).filter(|id| takes(id)).copied().collect()
}

#[cfg(test)]
mod tests;

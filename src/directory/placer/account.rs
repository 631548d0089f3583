//! The reservations and their sums. Plain data: time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::placement::InFlight;
use crate::domain::{BlobId, ServerId};

/// For how long a reservation that another node holds is kept without a word from it.
pub const LEASE: Duration = Duration::from_secs(60);
/// More uploads at a time than one leader can have: each holds a connection to some node.
const MAX_RESERVATIONS: usize = 65_536;

#[derive(Debug)]
struct Reserved {
    ticket: u64,
    targets: Vec<ServerId>,
    bytes: u64,
    /// By the monotonic clock; nothing where its holder is this process and releases it for certain.
    until: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Account {
    reserved: BTreeMap<BlobId, Reserved>,
    /// The leases among them, by when they end.
    deadlines: BTreeSet<(Duration, BlobId)>,
    /// The sums over `reserved`, kept as it changes. A server without any has no row.
    sums: BTreeMap<ServerId, InFlight>,
    next_ticket: u64,
}

impl Account {
    pub(super) fn in_flight(&self) -> &BTreeMap<ServerId, InFlight> {
        &self.sums
    }

    pub(super) fn is_full(&self) -> bool {
        self.reserved.len() >= MAX_RESERVATIONS
    }

    /// Adds a reservation for a blob that has none, and gives its number.
    pub(super) fn insert(
        &mut self,
        blob_id: BlobId,
        targets: Vec<ServerId>,
        bytes: u64,
        until: Option<Duration>,
    ) -> u64 {
        for (at, server_id) in targets.iter().enumerate() {
            let sum = self.sums.entry(*server_id).or_default();
            sum.primaries += u64::from(at == 0);
            sum.copies += 1;
            sum.bytes = sum.bytes.saturating_add(bytes);
        }
        self.deadlines.extend(until.map(|until| (until, blob_id)));
        self.next_ticket += 1;
        self.reserved.insert(blob_id, Reserved { ticket: self.next_ticket, targets, bytes, until });
        self.next_ticket
    }

    /// Ends the reservation of a blob, if it is the one of this number where one is given.
    pub(super) fn release(&mut self, blob_id: BlobId, ticket: Option<u64>) -> bool {
        let there = self.reserved.get(&blob_id);
        if !there.is_some_and(|reserved| ticket.is_none_or(|ticket| ticket == reserved.ticket)) {
            return false;
        }
        let Some(Reserved { targets, bytes, until, .. }) = self.reserved.remove(&blob_id) else { return false };
        if let Some(until) = until {
            self.deadlines.remove(&(until, blob_id));
        }
        for (at, server_id) in targets.iter().enumerate() {
            if let Some(sum) = self.sums.get_mut(server_id) {
                sum.primaries -= u64::from(at == 0);
                sum.copies -= 1;
                sum.bytes = sum.bytes.saturating_sub(bytes);
                if sum.copies == 0 {
                    self.sums.remove(server_id);
                }
            }
        }
        true
    }

    /// Moves the end of a lease. What is held without one needs none.
    pub(super) fn renew(&mut self, blob_id: BlobId, until: Duration) -> bool {
        let Some(reserved) = self.reserved.get_mut(&blob_id) else { return false };
        if let Some(before) = &mut reserved.until {
            self.deadlines.remove(&(*before, blob_id));
            self.deadlines.insert((until, blob_id));
            *before = until;
        }
        true
    }

    /// Ends the leases that have run out.
    pub(super) fn expire(&mut self, now: Duration) {
        while let Some((until, blob_id)) = self.deadlines.first().copied()
            && until <= now
        {
            self.release(blob_id, None);
        }
    }
}

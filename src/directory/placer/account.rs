//! The reservations and their sums. Plain data: time is an argument.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::placement::InFlight;
use crate::domain::{BlobId, ServerId};

/// For how long a reservation that another node holds is kept without a word from it.
pub const LEASE: Duration = Duration::from_secs(60);
/// More uploads at a time than one leader can have: each holds a connection to some node.
const MAX_RESERVATIONS: usize = 65_536;

/// Of what was released during a reading, so many are remembered: a reading that hangs must not gather all that follows.
const MAX_GONE: usize = 4_096;

#[derive(Debug)]
struct Reserved {
    number: u64,
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
    last_number: u64,
    /// What was released while choices were reading rows, in the order of the releases, with its place in that order.
    gone: VecDeque<(u64, Gone)>,
    releases: u64,
    /// The choices that are reading: how many began after so many releases.
    readings: BTreeMap<u64, usize>,
}

#[derive(Debug)]
struct Gone {
    targets: Vec<ServerId>,
    bytes: u64,
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
        add(&mut self.sums, &targets, bytes);
        self.deadlines.extend(until.map(|until| (until, blob_id)));
        self.last_number += 1;
        self.reserved.insert(blob_id, Reserved { number: self.last_number, targets, bytes, until });
        self.last_number
    }

    /// Ends the reservation of a blob, if it is the one of this number where one is given.
    pub(super) fn release(&mut self, blob_id: BlobId, number: Option<u64>) -> bool {
        let wanted = |reserved: &Reserved| number.is_none_or(|number| number == reserved.number);
        if !self.reserved.get(&blob_id).is_some_and(wanted) {
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
        self.releases += 1;
        if !self.readings.is_empty() {
            if self.gone.len() >= MAX_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back((self.releases, Gone { targets, bytes }));
        }
        true
    }

    /// What a choice has to count whose rows were read since `begin_reading` gave `since`.
    pub(super) fn in_flight_since(&self, since: u64) -> BTreeMap<ServerId, InFlight> {
        let mut sums = self.sums.clone();
        for (_, gone) in self.gone.iter().rev().take_while(|(at, _)| *at > since) {
            add(&mut sums, &gone.targets, gone.bytes);
        }
        sums
    }

    pub(super) fn begin_reading(&mut self) -> u64 {
        *self.readings.entry(self.releases).or_default() += 1;
        self.releases
    }

    pub(super) fn end_reading(&mut self, since: u64) {
        if let Some(readings) = self.readings.get_mut(&since) {
            *readings -= 1;
            if *readings == 0 {
                self.readings.remove(&since);
            }
        }
        let oldest = self.readings.keys().next().copied().unwrap_or(u64::MAX);
        while self.gone.front().is_some_and(|(at, _)| *at <= oldest) {
            self.gone.pop_front();
        }
    }

    /// Forgets all reservations. Numbers go on, so that what still holds an old one releases nothing new.
    pub(super) fn clear(&mut self) {
        self.reserved.clear();
        self.deadlines.clear();
        self.sums.clear();
        self.gone.clear();
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

fn add(sums: &mut BTreeMap<ServerId, InFlight>, targets: &[ServerId], bytes: u64) {
    for (at, server_id) in targets.iter().enumerate() {
        let sum = sums.entry(*server_id).or_default();
        sum.primaries += u64::from(at == 0);
        sum.copies += 1;
        sum.bytes = sum.bytes.saturating_add(bytes);
    }
}

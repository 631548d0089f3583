//! Simulated file servers: what is on their disks, under which identity.

use std::collections::BTreeMap;

use ringmaster::domain::{BlobId, CopyId, Epoch, Incarnation, ServerId, ServerUuid};

/// One copy as the disk has it. A disk has one place for each blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) copy_id: CopyId,
    pub(crate) good: bool,
    pub(crate) since: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) uuid: ServerUuid,
    pub(crate) last: Option<Incarnation>,
    pub(crate) blobs: BTreeMap<BlobId, Stored>,
}

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) disk: Disk,
    pub(crate) image: Option<Disk>,
    pub(crate) alive: bool,
    /// As which it was admitted last.
    pub(crate) admitted: Option<(ServerId, Epoch)>,
}

impl Machine {
    pub(crate) fn new(uuid: u128) -> Self {
        let disk = Disk { uuid: ServerUuid(uuid), last: None, blobs: BTreeMap::new() };
        Self { disk, image: None, alive: false, admitted: None }
    }

    /// Whether it answers as this server in this epoch.
    pub(crate) fn answers(&self, id: ServerId, epoch: Epoch) -> bool {
        self.alive && self.admitted == Some((id, epoch))
    }

    pub(crate) fn good(&self, blob: BlobId) -> Option<CopyId> {
        self.disk.blobs.get(&blob).filter(|stored| stored.good).map(|stored| stored.copy_id)
    }

    /// Makes a copy, as the file server does: what is damaged or listed for deletion gives way, what is good stays and is
    /// told.
    pub(crate) fn take(&mut self, blob: BlobId, copy_id: CopyId, listed: &[CopyId], now: u64) -> CopyId {
        let fresh = Stored { copy_id, good: true, since: now };
        let stored = self.disk.blobs.entry(blob).or_insert(fresh);
        if !stored.good || listed.contains(&stored.copy_id) {
            *stored = fresh;
        }
        stored.copy_id
    }

    /// Deletes exactly this copy. Whether it was there.
    pub(crate) fn delete(&mut self, blob: BlobId, copy_id: CopyId) -> bool {
        let there = self.disk.blobs.get(&blob).is_some_and(|stored| stored.copy_id == copy_id);
        if there {
            self.disk.blobs.remove(&blob);
        }
        there
    }
}

/// Numbers from a seed (SplitMix64), so that a story repeats.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

//! The damage that was met and has still to be reported. Whoever meets damage only leaves a note here; one task reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Store, StoreError};
use crate::domain::{BlobId, CopyId};

/// More notes than this are dropped: the scrubber finds the same damage again.
const MAX_NOTES: usize = 1024;
/// A damaged copy that many people read is reported once in this time, which a repair usually takes.
const QUIET: Duration = Duration::from_secs(60);

/// A damaged copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Damage {
    pub(crate) blob_id: BlobId,
    /// Nothing where its record is damaged as well, so that nobody can tell which copy it was.
    pub(crate) copy_id: Option<CopyId>,
}

#[derive(Debug, Default)]
pub(super) struct DamageQueue {
    notes: Mutex<Notes>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Notes {
    /// In the order of their ids: which one goes first does not matter.
    waiting: BTreeSet<Damage>,
    reported: BTreeMap<Damage, Instant>,
}

impl DamageQueue {
    pub(super) fn push(&self, damage: Damage) {
        let mut notes = self.notes();
        notes.reported.retain(|_, at| at.elapsed() < QUIET);
        if notes.waiting.len() < MAX_NOTES && !notes.reported.contains_key(&damage) {
            notes.waiting.insert(damage);
            self.added.notify_one();
        }
    }

    /// No code that holds this can panic between two steps of one change.
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Waits for a damaged copy that has to be reported. It stays noted until [`Self::damage_reported`]. For one task.
    pub(crate) async fn damage_to_report(&self) -> Damage {
        loop {
            // Bound to a name, so that the lock is let go of before the wait.
            let first = self.damage.notes().waiting.first().copied();
            match first {
                Some(damage) => return damage,
                None => self.damage.added.notified().await,
            }
        }
    }

    /// The damage has been reported.
    pub(crate) fn damage_reported(&self, damage: Damage) {
        let mut notes = self.damage.notes();
        notes.waiting.remove(&damage);
        if notes.reported.len() < MAX_NOTES {
            notes.reported.insert(damage, Instant::now());
        }
    }

    /// The damaged copy is not there any more.
    pub(crate) fn damage_gone(&self, damage: Damage) {
        self.damage.notes().waiting.remove(&damage);
    }

    /// The size of a copy that was met damaged, as it is on the disk; nothing where it is gone, or another copy is in its
    /// place. Its bytes are not read again.
    ///
    /// # Errors
    /// `Io`, or a copy by a newer release.
    pub(crate) fn still_damaged(&self, damage: Damage) -> Result<Option<u64>, StoreError> {
        match self.head(damage.blob_id) {
            Ok(record) => Ok((Some(record.copy_id) == damage.copy_id).then_some(record.size)),
            Err(StoreError::Missing) => Ok(None),
            Err(StoreError::Damaged { .. }) => Ok(Some(self.data_bytes(damage.blob_id))),
            Err(error) => Err(error),
        }
    }
}

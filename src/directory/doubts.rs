//! Which copies are being looked at, since a read met something wrong with them, and which were lately.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::CopyAt;

/// Copies that are looked at on behalf of reads at once. Each may be a whole file read from a disk; more are let go,
/// since the next read or the scrubber meets the damage again.
const LOOKS: usize = 4;
/// A copy that many people read is looked at once in this time, which a repair usually takes.
const QUIET: Duration = Duration::from_secs(60);
/// The most copies that are remembered for that.
const REMEMBERED: usize = 1024;

/// The looks that reads have asked for.
pub(crate) struct Doubts {
    slots: Arc<Semaphore>,
    lately: Mutex<BTreeMap<CopyAt, Instant>>,
}

impl Doubts {
    pub(crate) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKS)), lately: Mutex::default() }
    }

    /// A turn at looking at the copy; nothing where it was looked at lately, or too many are being looked at.
    pub(crate) fn turn(&self, copy: CopyAt) -> Option<OwnedSemaphorePermit> {
        // No code that holds this can panic between two steps of one change.
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|_, at| at.elapsed() < QUIET);
        if lately.contains_key(&copy) || lately.len() >= REMEMBERED {
            return None;
        }
        let turn = self.slots.clone().try_acquire_owned().ok()?;
        lately.insert(copy, Instant::now());
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BlobId, CopyId, ServerId};

    fn copy(id: u128) -> CopyAt {
        CopyAt { server_id: ServerId(1), blob_id: BlobId(id), copy_id: CopyId(id) }
    }

    #[test]
    fn a_copy_is_looked_at_once_and_few_at_once() {
        let doubts = Doubts::new();
        let turns: Vec<_> = (0..8).filter_map(|id| doubts.turn(copy(id))).collect();
        assert_eq!(turns.len(), LOOKS);
        drop(turns);
        assert!(doubts.turn(copy(0)).is_none(), "it was looked at just now");
        assert!(doubts.turn(copy(7)).is_some(), "it was let go for want of a slot");
    }
}

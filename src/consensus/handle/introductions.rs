//! Which of the others have told this node what they remember of it. `recall.rs` asks them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::acknowledged::Acknowledged;
use crate::domain::NodeId;

/// Who has told this node what it remembers of it.
#[derive(Debug)]
pub(crate) struct Introductions {
    /// What this node had when it began.
    held: Acknowledged,
    done: Mutex<BTreeSet<NodeId>>,
}

impl Introductions {
    pub(crate) const fn at(held: Acknowledged) -> Self {
        Self { held, done: Mutex::new(BTreeSet::new()) }
    }

    /// What this node had when it began.
    pub(super) const fn held(&self) -> Acknowledged {
        self.held
    }

    pub(super) fn is_done(&self, member: NodeId) -> bool {
        self.lock().contains(&member)
    }

    pub(super) fn add(&self, member: NodeId) {
        self.lock().insert(member);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

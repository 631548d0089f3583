//! The one way in which consensus says that the process must end.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds the first reason for which this node cannot go on. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stopper(Arc<watch::Sender<Option<String>>>);

impl Stopper {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Only the first message counts: those after it are its consequences.
    pub(crate) fn stop(&self, message: impl Into<String>) {
        self.0.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(message.into());
            }
            first
        });
    }

    pub(crate) fn message(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.0.subscribe()
    }
}

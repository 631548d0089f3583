//! The one way in which consensus says that the process must end, and that this node takes no more calls.

use std::sync::Arc;

use tokio::sync::watch;

use super::published::Published;

/// Holds the first reason for which this node cannot go on. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Stopper(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Why the process must end.
    stopped: watch::Sender<Option<String>>,
    /// Whether this node was told to end, by whoever holds it.
    closing: Published<bool>,
}

impl Stopper {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { stopped: watch::Sender::new(None), closing: Published::new(false) }))
    }

    /// Only the first message counts: those after it are its consequences.
    pub(crate) fn stop(&self, message: impl Into<String>) {
        self.0.stopped.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(message.into());
            }
            first
        });
    }

    pub(crate) fn message(&self) -> Option<String> {
        self.0.stopped.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.0.stopped.subscribe()
    }

    /// Has this node take no more calls, without a failure.
    pub(crate) fn close(&self) {
        self.0.closing.publish(true);
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.0.closing.get()
    }

    /// Returns when this node takes no more calls, for whatever reason.
    pub(crate) async fn ends(&self) {
        let mut stopped = self.watch();
        tokio::select! {
            biased;
            // The sender is in here.
            _ = stopped.wait_for(Option::is_some) => {}
            () = self.0.closing.wait_for(|closing| closing.then_some(())) => {}
        }
    }
}

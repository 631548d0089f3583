//! A value that one task publishes and that others look at or wait on.
//!
//! It is tokio's `watch` with one difference: whoever waits is woken in the order in which the waits began. `watch` spreads
//! its waiters over eight lists at random, so a simulation of several nodes could not be repeated from its seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The value, and those who wait for it to change.
#[derive(Debug, Default)]
pub(crate) struct Published<T> {
    value: Mutex<Arc<T>>,
    news: Notify,
}

impl<T: PartialEq> Published<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(Arc::new(value)), news: Notify::new() }
    }

    /// The value of now.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.lock())
    }

    /// Puts another value in place. Nobody is woken for the same one.
    pub(crate) fn publish(&self, value: T) {
        let changed = {
            let mut current = self.lock();
            let changed = **current != value;
            if changed {
                *current = Arc::new(value);
            }
            changed
        };
        if changed {
            self.news.notify_waiters();
        }
    }

    /// Returns what `pick` finds in the value, now or after a change. Values that come and go between two looks may be
    /// missed.
    pub(crate) async fn wait_for<R>(&self, mut pick: impl FnMut(&T) -> Option<R>) -> R {
        let mut news = std::pin::pin!(self.news.notified());
        loop {
            // Registered before the look, so that no change falls between the two.
            news.as_mut().enable();
            if let Some(found) = pick(&self.get()) {
                return found;
            }
            news.as_mut().await;
            news.set(self.news.notified());
        }
    }

    /// Returns when the value is another one than `seen`.
    pub(crate) async fn changed_from(&self, seen: &T) {
        self.wait_for(|value| (value != seen).then_some(())).await;
    }

    fn lock(&self) -> MutexGuard<'_, Arc<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_woken_in_order_and_misses_nothing() {
        let (value, order) = (Arc::new(Published::new(0)), Arc::new(Mutex::new(Vec::new())));
        let waiters: Vec<_> = (0..20)
            .map(|waiter| {
                let (value, order) = (Arc::clone(&value), Arc::clone(&order));
                tokio::spawn(async move {
                    let found = value.wait_for(|value| (*value >= 2).then_some(*value)).await;
                    order.lock().unwrap().push(waiter);
                    found
                })
            })
            .collect();
        tokio::task::yield_now().await;
        value.publish(1);
        value.publish(1);
        tokio::task::yield_now().await;
        assert!(order.lock().unwrap().is_empty());
        value.publish(2);
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), 2);
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
        assert_eq!(value.changed_from(&2).now_or_never(), None);
        assert_eq!(value.changed_from(&1).now_or_never(), Some(()));
    }
}

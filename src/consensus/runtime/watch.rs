//! A value that is watched, for openraft. Whoever waits is woken in the order in which the waits began.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use openraft::async_runtime::watch::{RecvError, SendError, Watch, WatchReceiver, WatchSender};
use openraft::{OptionalSend, OptionalSync};
use tokio::sync::Notify;

pub(crate) enum Ordered {}

pub(crate) struct Sender<T>(Arc<Shared<T>>);

pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was seen last.
    seen: u64,
}

struct Shared<T> {
    value: RwLock<Value<T>>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    /// Told of each new version, and of the end of the last sender.
    news: Notify,
}

struct Value<T> {
    version: u64,
    value: T,
}

/// Holds the value's lock.
pub(crate) struct Ref<'a, T>(RwLockReadGuard<'a, Value<T>>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl Watch for Ordered {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let shared = Arc::new(Shared {
            value: RwLock::new(Value { version: 0, value: init }),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
            news: Notify::new(),
        });
        let receiver = shared.receiver(0);
        (Sender(shared), receiver)
    }
}

impl<T> Shared<T> {
    fn receiver(self: &Arc<Self>, seen: u64) -> Receiver<T> {
        self.receivers.fetch_add(1, Ordering::Relaxed);
        Receiver { shared: Arc::clone(self), seen }
    }

    fn read(&self) -> RwLockReadGuard<'_, Value<T>> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn modify(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = {
            let mut current = self.value.write().unwrap_or_else(PoisonError::into_inner);
            let modified = modify(&mut current.value);
            current.version += u64::from(modified);
            modified
        };
        if modified {
            self.news.notify_waiters();
        }
        modified
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.news.notify_waiters();
        }
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<Ordered, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.receivers.load(Ordering::Acquire) == 0 {
            return Err(SendError(value));
        }
        self.0.modify(|current| {
            *current = value;
            true
        });
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        self.0.modify(modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        Ref(self.0.read())
    }

    fn subscribe(&self) -> Receiver<T> {
        let seen = self.0.read().version;
        self.0.receiver(seen)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receiver(self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<Ordered, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        let mut news = std::pin::pin!(self.shared.news.notified());
        loop {
            // Registered before the look, so that no change falls between the two.
            news.as_mut().enable();
            let version = self.shared.read().version;
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if self.shared.senders.load(Ordering::Acquire) == 0 {
                return Err(RecvError(()));
            }
            news.as_mut().await;
            news.set(self.shared.news.notified());
        }
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        Ref(self.shared.read())
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let current = self.shared.read();
        self.seen = current.version;
        Ref(current)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_woken_in_order() {
        let (sender, receiver) = Ordered::channel(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..20)
            .map(|waiter| {
                let (mut receiver, order) = (receiver.clone(), Arc::clone(&order));
                tokio::spawn(async move {
                    receiver.changed().await.unwrap();
                    order.lock().unwrap().push(waiter);
                    *receiver.borrow_watched()
                })
            })
            .collect();
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), 7);
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_is_seen_once_and_the_end_is_seen() {
        let (sender, mut receiver) = Ordered::channel(0);
        assert!(receiver.changed().now_or_never().is_none());
        assert!(!sender.send_if_modified(|value| {
            *value = 1;
            false
        }));
        assert!(receiver.changed().now_or_never().is_none(), "a silent change");
        assert_eq!(*receiver.borrow_watched(), 1);
        sender.send(2).unwrap();
        assert!(sender.subscribe().changed().now_or_never().is_none(), "it begins with what is there");
        assert_eq!(receiver.changed().now_or_never().unwrap(), Ok(()));
        sender.send(3).unwrap();
        assert_eq!(*receiver.borrow_and_update(), 3);
        assert!(receiver.changed().now_or_never().is_none());
        let second = sender.clone();
        drop(sender);
        second.send(4).unwrap();
        drop(second);
        assert_eq!(receiver.changed().now_or_never().unwrap(), Ok(()), "the last value comes before the end");
        assert!(receiver.changed().now_or_never().unwrap().is_err());
        let (sender, receiver) = Ordered::channel(0);
        drop(receiver);
        assert!(sender.send(1).is_err());
    }
}

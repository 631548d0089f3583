//! Whose task it is that runs.
//!
//! A node's power can only fail if all that it does ends at one moment, wherever it came from: openraft spawns from within.
//! So each task of a node, and whatever it spawns, is polled as that node's.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::task::{AbortHandle, JoinHandle};

use super::dice::Dice;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Node>>> = const { RefCell::new(None) };
}

/// One life of a node, from its start to its end.
pub(crate) struct Node {
    /// None once its power is off.
    tasks: Mutex<Option<Vec<AbortHandle>>>,
    dice: Mutex<Dice>,
}

impl Node {
    pub(crate) fn new(dice: Dice) -> Arc<Self> {
        Arc::new(Self { tasks: Mutex::new(Some(Vec::new())), dice: Mutex::new(dice) })
    }

    /// The node that this code runs in, if it runs in one.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(crate) fn draw(&self) -> u64 {
        self.dice.lock().unwrap().draw()
    }

    /// Runs a piece of code as this node's.
    pub(crate) fn within<T>(self: &Arc<Self>, run: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(Arc::clone(self)));
        let done = run();
        CURRENT.set(before);
        done
    }

    pub(crate) fn spawn<F>(self: &Arc<Self>, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = tokio::spawn(Task { node: Arc::clone(self), future: Some(Box::pin(future)) });
        let mut tasks = self.tasks.lock().unwrap();
        match &mut *tasks {
            Some(tasks) => {
                tasks.retain(|task| !task.is_finished());
                tasks.push(task.abort_handle());
            }
            None => task.abort(),
        }
        task
    }

    /// Ends everything that this node does, at once and in the middle.
    pub(crate) fn end(&self) {
        for task in self.tasks.lock().unwrap().take().into_iter().flatten() {
            task.abort();
        }
    }
}

struct Task<F> {
    node: Arc<Node>,
    /// Taken out when this is dropped, so that its end is the node's, too.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let node = Arc::clone(&self.node);
        node.within(|| self.future.as_mut().expect("it is polled before its end").as_mut().poll(context))
    }
}

impl<F> Drop for Task<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        self.node.within(|| drop(future));
    }
}

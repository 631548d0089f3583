//! Where tasks and blocking work run: a part of the environment, below all that needs nothing else of it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// Work that blocks.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Where tasks and blocking work run.
pub(crate) trait Executor: Send + Sync + 'static {
    /// Runs a task among Raft's own, where openraft's timers and the connections to the other nodes are.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Runs a task of the floor above. It may take long, and must not hold up Raft's own.
    fn spawn_service(&self, task: BoxFuture<'static, ()>);

    /// Runs work that blocks on behalf of Raft: disk, applying.
    fn run_blocking(&self, work: Work);

    /// Runs work that blocks on behalf of the floor above. However much there is of it, it must not hold up Raft's.
    fn run_query(&self, work: Work);

    /// Whether [`Self::end`] was called.
    fn has_ended(&self) -> bool;

    /// Drops Raft's tasks where they wait next, as a crash would, and returns when they are gone. Again, it does nothing.
    fn end(&self);
}

/// The work has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the node has ended")]
    Before,
    /// Or the work panicked.
    #[error("the node ended meanwhile")]
    Meanwhile,
}

/// An executor with what is commonly asked of one. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tasks(Arc<dyn Executor>);

impl Tasks {
    pub(crate) fn new(executor: impl Executor) -> Self {
        Self(Arc::new(executor))
    }

    /// Runs a task among Raft's own.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(Box::pin(task));
    }

    /// Runs a task among Raft's own and waits for its end. It runs on if its caller gives up.
    ///
    /// # Errors
    /// When the node has ended, before it or meanwhile.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Ended> {
        if self.0.has_ended() {
            return Err(Ended::Before);
        }
        let (sender, receiver) = oneshot::channel();
        self.spawn(async move { drop(sender.send(task.await)) });
        receiver.await.map_err(|_| Ended::Meanwhile)
    }

    /// As [`Self::run`], for a task of the floor above.
    ///
    /// # Errors
    /// When it was dropped before its end, or panicked.
    pub(crate) async fn serve<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Ended> {
        let (sender, receiver) = oneshot::channel();
        self.0.spawn_service(Box::pin(async move { drop(sender.send(task.await)) }));
        receiver.await.map_err(|_| Ended::Meanwhile)
    }

    /// The result of work that blocks. It goes on if its caller gives up.
    ///
    /// # Errors
    /// When the node ended before it began, or it panicked.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (sender, receiver) = oneshot::channel();
        self.0.run_blocking(Box::new(move || drop(sender.send(work()))));
        receiver.await.map_err(|_| Ended::Meanwhile)
    }

    /// As [`Self::blocking`], on behalf of the floor above.
    ///
    /// # Errors
    /// When it was never begun, or panicked.
    pub(crate) async fn query<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Ended> {
        let (sender, receiver) = oneshot::channel();
        self.0.run_query(Box::new(move || drop(sender.send(work()))));
        receiver.await.map_err(|_| Ended::Meanwhile)
    }

    /// See [`Executor::end`]. It blocks.
    pub(crate) fn end(&self) {
        self.0.end();
    }
}

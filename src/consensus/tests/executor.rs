//! Tasks for parts of a node that are tested without the rest.

use futures_util::future::BoxFuture;

use super::super::tasks::{Executor, Tasks, Work};

/// On the runtime that calls.
struct OnTokio;

/// Tasks on the runtime that calls.
pub(crate) fn tasks() -> Tasks {
    Tasks::new(OnTokio)
}

impl Executor for OnTokio {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn spawn_service(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn run_blocking(&self, work: Work) {
        drop(tokio::task::spawn_blocking(work));
    }

    fn run_query(&self, work: Work) {
        drop(tokio::task::spawn_blocking(work));
    }

    fn has_ended(&self) -> bool {
        false
    }

    fn end(&self) {}
}

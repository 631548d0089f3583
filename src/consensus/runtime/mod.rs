//! The asynchronous runtime that openraft runs on: tokio, with two differences that make a run repeatable.
//!
//! openraft takes everything that could differ from run to run from its runtime: its timeouts are drawn from
//! `thread_rng`, its `select` looks at its branches in a fixed order. What is left is tokio's `watch`, which spreads its
//! waiters over eight lists at random and so wakes them in another order each time; `watch` here keeps them in one list.
//! That is the production code's, too: openraft has a handful of waiters on each of these, and one list is as good.
//!
//! In a test a simulation can take hold of a thread (`tests/simulated`): its nodes' tasks then belong to their node, which
//! can lose power, and draw from its seed.

mod watch;

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use openraft::OptionalSend;
use openraft::async_runtime::AsyncRuntime;
use openraft::impls::TokioRuntime as Tokio;
use tokio::task::{JoinError, JoinHandle};

#[cfg(test)]
use super::tests::simulated;

/// What `TypeConfig` names as its runtime. Only tests make one: openraft takes the tokio runtime that it finds itself on.
#[derive(Debug)]
pub(crate) struct Runtime(Tokio);

impl AsyncRuntime for Runtime {
    type JoinError = JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = <Tokio as AsyncRuntime>::Instant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = Random;
    type Mpsc = <Tokio as AsyncRuntime>::Mpsc;
    type Watch = watch::Ordered;
    type Oneshot = <Tokio as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        #[cfg(test)]
        if let Some(node) = simulated::Node::current() {
            return node.spawn(future);
        }
        Tokio::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Tokio::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        Tokio::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        Tokio::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        Tokio::timeout_at(deadline, future)
    }

    fn is_panic(error: &JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> Random {
        Random
    }

    fn new(threads: usize) -> Self {
        Self(Tokio::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

/// The randomness of timeouts.
#[derive(Debug)]
pub(crate) struct Random;

impl Random {
    fn draw() -> u64 {
        #[cfg(test)]
        if let Some(node) = simulated::Node::current() {
            return node.draw();
        }
        rand_core::Rng::next_u64(&mut Tokio::thread_rng())
    }
}

impl rand_core::TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let bytes = Self::draw().to_be_bytes();
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(Self::draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(size_of::<u64>()) {
            let drawn = Self::draw().to_be_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn openraft_s_suite_for_runtimes_passes() {
        openraft::rt::testing::Suite::<super::Runtime>::test_all();
    }
}

//! When a call is tried again, how long it waits before, and when it gives up.

use std::time::Duration;

use tokio::time::Instant;

use super::error::ClientError;
use crate::clock::SharedClock;
use crate::protocol::problem::Code;

/// The longest `Retry-After` that is honoured: an election takes well under a second.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(2);
/// How many attempts may extend the deadline of an upload by their own length. Each may be a whole long transfer,
/// so this is what bounds an upload that always breaks off at its end.
const MAX_EXTENSIONS: u32 = 8;

/// Deadlines and waits of a [`super::Directory`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first attempt to giving up. A transfer's own moving of bytes does not count.
    pub retry_for: Duration,
    /// Until a connection is there.
    pub connect: Duration,
    /// Until the answer of a call that moves no bytes. The server answers within 10 s.
    pub answer: Duration,
    /// A transfer that moved nothing for so long has broken.
    pub stall: Duration,
    /// The wait after the first failure; doubled after each, up to `max_backoff`.
    pub min_backoff: Duration,
    pub max_backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            retry_for: Duration::from_secs(30),
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(12),
            stall: Duration::from_secs(30),
            min_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
        }
    }
}

/// Why one attempt brought no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No other attempt can do better.
    Final(ClientError),
    /// The node cannot be reached, or did not get the whole of the request. Nothing was done; the next one may do it.
    Unreachable { cause: String },
    /// The node says that it cannot do it now. Nothing was done.
    NotNow { cause: String, code: Option<Code>, retry_after: Option<Duration> },
    /// It may have been done; the next attempt under the same key tells. `silent` says that the node gave no answer of
    /// its own.
    Unknown { cause: String, silent: bool },
}

impl Failure {
    /// Whether the node gave no answer of its own.
    pub(super) const fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unknown { silent: true, .. })
    }
}

/// One call's attempts.
pub(super) struct Attempts<'a> {
    limits: &'a Limits,
    clock: &'a SharedClock,
    started: Instant,
    deadline: Instant,
    failed: u32,
    broken: u32,
    extensions: u32,
    /// The key of the change, nothing for a call that changes nothing.
    key: Option<String>,
    /// Whether an attempt may have taken effect.
    unknown: bool,
    /// Why the last node that gave a reason could not do it.
    said: Option<Code>,
}

impl<'a> Attempts<'a> {
    pub(super) fn new(limits: &'a Limits, clock: &'a SharedClock, key: Option<String>) -> Self {
        let started = Instant::now();
        let deadline = started + limits.retry_for;
        Self { limits, clock, started, deadline, failed: 0, broken: 0, extensions: 0, key, unknown: false, said: None }
    }

    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long the next attempt may take, where it moves no bytes.
    pub(super) fn limit(&self) -> Duration {
        self.limits.answer.min(self.remaining()).max(Duration::from_millis(1))
    }

    /// How many attempts ended without an answer of the node.
    pub(super) const fn broken(&self) -> u32 {
        self.broken
    }

    /// An attempt moved a body for `spent`: that time is given back, a bounded number of times.
    pub(super) fn extend(&mut self, spent: Duration) {
        if self.extensions < MAX_EXTENSIONS {
            self.extensions += 1;
            self.deadline += spent;
        }
    }

    /// A download got further: it has all its time again. Bounded by the bytes that there are.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
        self.deadline = Instant::now() + self.limits.retry_for;
    }

    /// Waits until the next attempt is due.
    ///
    /// # Errors
    /// When there is none: the failure is final, or the deadline is near.
    pub(super) async fn after(&mut self, failure: Failure) -> Result<(), ClientError> {
        self.broken += u32::from(failure.is_silence());
        // What an attempt that ran out of time says about the reason is nothing.
        if let Failure::NotNow { code, .. } = &failure {
            self.said = *code;
        }
        let (cause, retry_after) = match failure {
            Failure::Final(mut error) => {
                if self.unknown
                    && let Some(key) = &self.key
                    && error.is_of_one_attempt()
                {
                    let message = format!("an attempt before may have made the change, and then: {error}");
                    return Err(ClientError::outcome_unknown(key.clone(), message));
                }
                error.after_unknown = self.unknown;
                return Err(error);
            }
            Failure::Unreachable { cause } => (cause, None),
            Failure::NotNow { cause, retry_after, .. } => (cause, retry_after),
            Failure::Unknown { cause, .. } => {
                self.unknown = true;
                (cause, None)
            }
        };
        let wait = self.backoff().max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER));
        self.failed = self.failed.saturating_add(1);
        if wait >= self.remaining() {
            return Err(self.give_up(&cause));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn give_up(&self, cause: &str) -> ClientError {
        let spent = self.started.elapsed().as_secs_f32();
        match &self.key {
            Some(key) if self.unknown => ClientError::outcome_unknown(
                key.clone(),
                format!("the change may or may not have been made, no node could tell within {spent:.1} s ({cause})"),
            ),
            _ => {
                let message = format!("no directory node could do it within {spent:.1} s ({cause})");
                ClientError::not_now(self.said, message)
            }
        }
    }

    /// Exponential, with jitter over its upper half, so that many clients do not come back in step.
    fn backoff(&self) -> Duration {
        let full = self.limits.min_backoff.saturating_mul(1 << self.failed.min(16)).min(self.limits.max_backoff);
        let [jitter] = self.clock.random::<1>();
        full / 2 + full.saturating_mul(u32::from(jitter)) / 512
    }
}

//! What a call can end in, other than its answer.

use std::fmt;
use std::io;

use crate::protocol::problem::{Code, Problem};

/// Why a call did not end in its answer. `Display` gives one sentence for people; it never holds a token, a ticket
/// or a password.
#[derive(Debug)]
pub struct ClientError {
    kind: ErrorKind,
    message: String,
    /// An attempt before this answer may have taken effect, so that the answer may be about its effect.
    pub(super) after_unknown: bool,
    /// Why no node could do it, where the last one that was asked said so.
    said: Option<Code>,
}

/// What the caller can conclude, and so what it should do next.
#[derive(Debug)]
pub enum ErrorKind {
    /// A node gave a final answer: nothing was done, and the same request would be refused again.
    Refused(Box<Problem>),
    /// Nothing was done: no node could do it before the deadline.
    Unavailable,
    /// It may have been done. Only the same request under the same key tells.
    OutcomeUnknown { key: String },
    /// The caller's arguments cannot be sent.
    Usage,
    /// Reading or writing on this side failed, or an answer is not to be trusted.
    Local(io::ErrorKind),
}

impl ClientError {
    const fn of(kind: ErrorKind, message: String) -> Self {
        Self { kind, message, after_unknown: false, said: None }
    }

    pub(super) fn refused(problem: Problem) -> Self {
        let message = if problem.detail.is_empty() { problem.title.clone() } else { problem.detail.clone() };
        Self::of(ErrorKind::Refused(Box::new(problem)), message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::of(ErrorKind::Unavailable, message.into())
    }

    /// The same, with the reason that a node gave.
    pub(super) fn not_now(said: Option<Code>, message: impl Into<String>) -> Self {
        Self { said, ..Self::unavailable(message) }
    }

    pub(super) fn outcome_unknown(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(ErrorKind::OutcomeUnknown { key: key.into() }, message.into())
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::of(ErrorKind::Usage, message.into())
    }

    pub(super) fn local(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::of(ErrorKind::Local(error.kind()), format!("{what}: {error}"))
    }

    pub(super) fn untrusted(message: impl Into<String>) -> Self {
        Self::of(ErrorKind::Local(io::ErrorKind::InvalidData), message.into())
    }

    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The node's error, where one refused.
    pub fn problem(&self) -> Option<&Problem> {
        match &self.kind {
            ErrorKind::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether a node refused for a reason of the moment, which is not remembered under the operation, or this attempt ended
    /// on this side: it says nothing about other attempts of the same change.
    pub(super) fn is_of_one_attempt(&self) -> bool {
        let momentary = [Code::TooManyRequests, Code::ChecksumMismatch];
        matches!(self.kind, ErrorKind::Local(_))
            || self.problem().is_some_and(|problem| problem.status >= 500)
            || self.code().is_some_and(|code| momentary.contains(&code))
    }

    /// The stable code of a refusal, or of why it could not be done now. Nothing for other errors, and for codes that this
    /// build does not know.
    pub fn code(&self) -> Option<Code> {
        self.problem().map_or(self.said, |problem| Code::parse(&problem.code))
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ClientError {}

//! What a command can end in other than its output: a sentence, hints that name the next step, and an exit code.

use std::fmt;
use std::io;

use crate::client::{ClientError, ErrorKind};
use crate::protocol::problem::Code;

/// What the exit code tells a script. The larger of two is the one that a command with several errors ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// The cluster, or this machine, said no: the same again would end the same.
    Refused,
    Usage,
    /// No answer, or none that tells whether the change was made.
    Unavailable,
    Interrupted,
    Terminated,
}

impl Exit {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
            // What a shell reports for a program that SIGINT or SIGTERM ended.
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

#[derive(Debug)]
pub(super) struct CliError {
    pub(super) exit: Exit,
    message: String,
    hints: Vec<String>,
    code: Option<Code>,
}

impl CliError {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hints: Vec::new(), code: None }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unavailable, message)
    }

    pub(super) fn local(what: impl fmt::Display, error: &io::Error) -> Self {
        let refused = Self::refused(format!("{what}: {error}"));
        match hint_of(error.kind()) {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// For a command that knows better than the hint that goes with the error's code.
    #[must_use]
    pub(super) fn without_hints(mut self) -> Self {
        self.hints.clear();
        self
    }

    /// Says which of a command's arguments the error is about.
    #[must_use]
    pub(super) fn about(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub(super) fn is(&self, code: Code) -> bool {
        self.code == Some(code)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

/// An error that says by itself what to do.
impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        Self::refused(format!("{error:#}"))
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let exit = match error.kind() {
            ErrorKind::Refused(_) | ErrorKind::Local(_) => Exit::Refused,
            ErrorKind::Unavailable | ErrorKind::OutcomeUnknown { .. } => Exit::Unavailable,
            ErrorKind::Usage => Exit::Usage,
        };
        let hints = hint_for(&error).into_iter().collect();
        Self { exit, message: error.to_string(), hints, code: error.code() }
    }
}

/// What to do about this machine's own refusals, where their words do not say it.
const fn hint_of(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on that disk, or choose another one")
        }
        io::ErrorKind::ReadOnlyFilesystem => Some("choose a place that can be written"),
        io::ErrorKind::BrokenPipe => Some("whoever read from it has gone: start both again"),
        io::ErrorKind::ResourceBusy => Some("end what uses it first, for a disk: unmount it"),
        _ => None,
    }
}

fn hint_for(error: &ClientError) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::Unavailable => "check that the cluster runs, and that --url or RINGMASTER_URL names its nodes",
        ErrorKind::OutcomeUnknown { .. } => {
            "look whether it was made (ringmaster stat, ls or locks) before you do it again"
        }
        ErrorKind::Local(kind) => hint_of(*kind)?,
        ErrorKind::Usage => return None,
        ErrorKind::Refused(problem) => match error.code()? {
            Code::Unauthenticated => "log in with: ringmaster login USERNAME",
            Code::Locked => {
                "give the lock's token with --lock-token, or wait until the lock ends (ringmaster stat shows when)"
            }
            Code::NotEmpty => "remove it with all that is in it: ringmaster rm -r",
            Code::QuotaExceeded => {
                "see how much there is with: ringmaster du; give some up with: ringmaster trash empty"
            }
            Code::ChecksumMismatch => "do it again: the bytes were changed on their way, or the file while it was sent",
            Code::VersionConflict => "see which version is there with: ringmaster stat",
            Code::DataCorrupt | Code::Internal => {
                return Some(format!("the nodes' logs say more about request {}", problem.request_id));
            }
            _ => return None,
        },
    };
    Some(hint.to_owned())
}

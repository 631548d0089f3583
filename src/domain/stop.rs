//! Why a rule did not come to its end: `?` carries both kinds, and `settle` parts them again.

use super::{Fault, Rejection, RejectionKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// An answer.
    Rejected(Rejection),
    /// The storage is broken.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A rejection. `detail` is one sentence that tells the user what to do next.
pub(crate) fn reject(kind: RejectionKind, detail: impl Into<String>) -> Stop {
    Stop::Rejected(Rejection { kind, detail: detail.into() })
}

/// Refuses unless `holds`.
pub(crate) fn require(holds: bool, kind: RejectionKind, detail: &str) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(reject(kind, detail)) }
}

pub(crate) fn settle<T>(result: Result<T, Stop>) -> Result<Result<T, Rejection>, Fault> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Rejected(rejection)) => Ok(Err(rejection)),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

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

/// The refusal to go by rows that lead nowhere. The disk is well, since the rows were read, and each node has the same;
/// so the one who asks is refused and the cluster goes on.
pub(crate) fn astray(what: impl std::fmt::Display) -> Stop {
    reject(
        RejectionKind::Astray,
        format!(
            "{what}: the index does not fit together there; have the admin run `ringmaster verify` on a stopped node"
        ),
    )
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

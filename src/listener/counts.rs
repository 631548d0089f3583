//! What listeners tell Prometheus.

use prometheus_client::encoding::EncodeLabelSet;

use crate::telemetry::{Counter, Family, Gauge};

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct At {
    pub(super) listener: &'static str,
}

/// What became of a connection, or of whom it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Of {
    pub(super) listener: &'static str,
    pub(super) what: &'static str,
}

/// Counts of all listeners of a process. A clone counts into the same.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub(super) open: Family<Of, Gauge>,
    pub(super) cut: Family<Of, Counter>,
    pub(super) refused: Family<At, Counter>,
}

/// A name, and what it says.
pub(crate) type Named = (&'static str, &'static str);

impl Counts {
    pub(crate) const OPEN: Named =
        ("ringmaster_connections", "Connections that are open, by listener and by who has them");
    pub(crate) const CUT: Named = (
        "ringmaster_connections_cut_total",
        "Connections that were cut for keeping us waiting or to make room, by why",
    );
    pub(crate) const REFUSED: Named = (
        "ringmaster_connections_refused_total",
        "Connections that found no place, as members and users had all of them",
    );

    pub(crate) fn open(&self) -> Family<Of, Gauge> {
        self.open.clone()
    }

    pub(crate) fn cut(&self) -> Family<Of, Counter> {
        self.cut.clone()
    }

    pub(crate) fn refused(&self) -> Family<At, Counter> {
        self.refused.clone()
    }
}

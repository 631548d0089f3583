//! The steps that commands are made of: what several of them do alike, and what keeps rows together that belong together.

mod accounts;
mod contents;
mod copies;
mod entries;
mod locks;
mod parts;
mod properties;
mod removals;
mod remove;
mod repairs;
mod restored;
mod servers;
mod sessions;
mod sweeps;
mod uploads;
mod versions;

pub(crate) use remove::MAX_VERSIONS_AT_ONCE;
pub(crate) use uploads::{parts_outcome, upload_outcome};

use super::rules::{self, Reached, Retained};
use super::terms::Policy;
use super::{ClusterTime, Fault, Store, WallTime};

/// What every command knows.
pub(crate) struct Change<'a> {
    pub(crate) store: &'a mut dyn Store,
    /// Cluster time as of this entry.
    pub(crate) now: ClusterTime,
    pub(crate) wall: WallTime,
    pub(crate) policy: Policy,
}

impl Change<'_> {
    /// The wall clock's reading `ms` milliseconds after this entry, for people to see.
    pub(crate) fn wall_in(&self, ms: u64) -> WallTime {
        WallTime(self.wall.0.saturating_add(ms))
    }

    /// For how long an entry, and what it was, is kept.
    pub(crate) fn retained(&self, reached: &Reached) -> Result<Retained, Fault> {
        rules::retained(self.store, &self.policy, reached.directories())
    }
}

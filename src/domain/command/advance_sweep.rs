use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Sweep, SweepKind};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::terms::MAX_COPIES_LISTED;
use crate::domain::{ClusterTime, ExtentAt, Outcome, RejectionKind, tables};

record! {
    /// A part of a walk is done: all files up to `through` were looked at, by the walk that began at `since`. What could
    /// not be mended when the walk passed it is put on the list of repairs, so that the walk may go on and the file is not
    /// forgotten.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AdvanceSweep as "progress of a sweep" {
        pub kind: SweepKind = 1,
        pub since: ClusterTime = 2,
        pub through: Option<ExtentAt> = 3,
        /// That was the last one.
        pub done: bool = 4,
        /// Some file could not be given what it should have.
        pub short: bool = 5,
        /// Files that could not be mended when they were passed: at most 250.
        pub owed: Vec<ExtentAt> = 6,
    }
}

impl Act for AdvanceSweep {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let bounded = self.owed.len() <= MAX_COPIES_LISTED;
        require(bounded, RejectionKind::InvalidRequest, "one command puts at most 250 files on the list of repairs")?;
        let stale = || reject(RejectionKind::StaleState, "this walk was stopped, or begun anew");
        let running = |sweep: &Sweep| sweep.since == self.since && !sweep.resting;
        let mut sweep = tables::sweep(change.store, self.kind)?.filter(running).ok_or_else(stale)?;
        for at in &self.owed {
            if let Some(extent) = tables::live_extent(change.store, *at)? {
                change.settle_repair(*at, extent)?;
            }
        }
        sweep.through = sweep.through.max(self.through);
        sweep.short |= self.short;
        if !self.done {
            tables::put_sweep(change.store, self.kind, &sweep)?;
        } else if sweep.again {
            change.first_step(self.kind)?;
        } else if sweep.short {
            tables::put_sweep(change.store, self.kind, &Sweep { resting: true, ..sweep })?;
        } else {
            tables::delete_sweep(change.store, self.kind)?;
        }
        Ok(Outcome::Done)
    }
}

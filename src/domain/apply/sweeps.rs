//! How far the walks over all files have come.

use super::Change;
use crate::domain::command::MAX_COPIES_LISTED;
use crate::domain::rows::{Sweep, SweepKind};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables;
use crate::domain::{ClusterTime, Fault, FileId, Outcome, RejectionKind};

/// What the leader says about a part of a walk that it has done.
pub(super) struct Advance<'a> {
    pub(super) since: ClusterTime,
    pub(super) through: Option<FileId>,
    pub(super) done: bool,
    pub(super) short: bool,
    pub(super) owed: &'a [FileId],
}

impl Change<'_> {
    pub(super) fn start_sweep(&mut self, kind: SweepKind) -> Result<Outcome, Stop> {
        self.begin(kind)?;
        Ok(Outcome::Done)
    }

    /// A walk that was stopped stays known as that, so that nothing begins it again by itself before a server joins.
    pub(super) fn stop_sweep(&mut self, kind: SweepKind) -> Result<Outcome, Stop> {
        let sweep = Sweep { since: self.now, through: None, short: false, resting: true };
        tables::put_sweep(self.store, kind, &sweep)?;
        Ok(Outcome::Done)
    }

    /// What could not be mended when the walk passed it is put on the list of repairs, so that the walk may go on and
    /// the file is not forgotten.
    pub(super) fn advance_sweep(&mut self, kind: SweepKind, advance: &Advance<'_>) -> Result<Outcome, Stop> {
        let bounded = advance.owed.len() <= MAX_COPIES_LISTED;
        require(bounded, RejectionKind::InvalidRequest, "one command puts at most 250 files on the list of repairs")?;
        let stale = || reject(RejectionKind::StaleState, "this walk was stopped, or begun anew");
        let running = |sweep: &Sweep| sweep.since == advance.since && !sweep.resting;
        let mut sweep = tables::sweep(self.store, kind)?.filter(running).ok_or_else(stale)?;
        for file in advance.owed {
            if let Some(entry) = tables::entry(self.store, *file)?
                && let Some(content) = entry.content()
            {
                let content = content.clone();
                self.settle_repair(&entry, &content)?;
            }
        }
        sweep.through = sweep.through.max(advance.through);
        sweep.short |= advance.short;
        if !advance.done {
            tables::put_sweep(self.store, kind, &sweep)?;
        } else if sweep.short {
            tables::put_sweep(self.store, kind, &Sweep { resting: true, ..sweep })?;
        } else {
            tables::delete_sweep(self.store, kind)?;
        }
        Ok(Outcome::Done)
    }

    pub(super) fn begin(&mut self, kind: SweepKind) -> Result<(), Fault> {
        // Its beginning names a walk, so no other may begin at the same time; and cluster time may stand still.
        tables::put_cluster_time(self.store, self.now.plus_ms(1))?;
        tables::put_sweep(self.store, kind, &Sweep { since: self.now, through: None, short: false, resting: false })
    }

    /// What rests for want of servers may go on when one has joined, or has room again. A walk that is under way begins
    /// anew: what it has passed by might be helped now, and a part of it may be in the works by what was known before.
    pub(super) fn wake_sweeps(&mut self) -> Result<(), Fault> {
        if tables::sweep(self.store, SweepKind::Copies)?.is_some() {
            self.begin(SweepKind::Copies)?;
        }
        match tables::sweep(self.store, SweepKind::Balance)? {
            Some(sweep) if sweep.resting => tables::delete_sweep(self.store, SweepKind::Balance)?,
            Some(_) => self.begin(SweepKind::Balance)?,
            None => {}
        }
        Ok(())
    }
}

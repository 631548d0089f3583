//! Walks over all files: their beginning.

use super::Change;
use crate::domain::rows::{Sweep, SweepKind};
use crate::domain::{Fault, tables};

impl Change<'_> {
    pub(crate) fn begin_sweep(&mut self, kind: SweepKind) -> Result<(), Fault> {
        // Its beginning names a walk, so no other may begin at the same time; and cluster time may stand still.
        tables::put_cluster_time(self.store, self.now.plus_ms(1))?;
        tables::put_sweep(self.store, kind, &Sweep { since: self.now, through: None, short: false, resting: false })
    }

    /// What rests for want of servers may go on when one has joined, or has room again. A walk that is under way begins
    /// anew: what it has passed by might be helped now, and a part of it may be in the works by what was known before.
    pub(crate) fn wake_sweeps(&mut self) -> Result<(), Fault> {
        if tables::sweep(self.store, SweepKind::Copies)?.is_some() {
            self.begin_sweep(SweepKind::Copies)?;
        }
        match tables::sweep(self.store, SweepKind::Balance)? {
            Some(sweep) if sweep.resting => tables::delete_sweep(self.store, SweepKind::Balance)?,
            Some(_) => self.begin_sweep(SweepKind::Balance)?,
            None => {}
        }
        Ok(())
    }
}

//! Walks over all files: their beginning.

use super::Change;
use crate::domain::rows::{Sweep, SweepKind};
use crate::domain::{Fault, tables};

impl Change<'_> {
    /// Has a walk over all files begin. One that is under way is not begun anew, or none would come to an end where servers
    /// come and go all the time: it finishes its pass, and another one follows.
    pub(crate) fn begin_sweep(&mut self, kind: SweepKind) -> Result<(), Fault> {
        if let Some(sweep) = tables::sweep(self.store, kind)?.filter(|sweep| !sweep.resting) {
            return tables::put_sweep(self.store, kind, &Sweep { again: true, ..sweep });
        }
        self.first_step(kind)
    }

    /// Puts a walk at its beginning.
    pub(crate) fn first_step(&mut self, kind: SweepKind) -> Result<(), Fault> {
        // Its beginning names a walk, so no other may begin at the same time; and cluster time may stand still.
        tables::put_cluster_time(self.store, self.now.plus_ms(1))?;
        let sweep = Sweep { since: self.now, through: None, short: false, resting: false, again: false };
        tables::put_sweep(self.store, kind, &sweep)
    }

    /// What rests for want of servers may go on when one has joined, or has room again. A walk that is under way is followed
    /// by another one: what it has passed by might be helped now, and a part of it may be in the works by what was known
    /// before.
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

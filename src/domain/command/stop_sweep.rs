use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Sweep, SweepKind};
use crate::domain::stop::Stop;
use crate::domain::{Outcome, tables};

record! {
    /// Ends a walk. One that was stopped stays known as that, so that nothing begins it again by itself before a server
    /// joins.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct StopSweep as "end of a sweep" {
        pub kind: SweepKind = 1,
    }
}

impl Act for StopSweep {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let sweep = Sweep { since: change.now, through: None, short: false, resting: true, again: false };
        tables::put_sweep(change.store, self.kind, &sweep)?;
        Ok(Outcome::Done)
    }
}

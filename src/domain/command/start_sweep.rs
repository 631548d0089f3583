use super::{Act, Schema};
use crate::domain::Outcome;
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::SweepKind;
use crate::domain::stop::Stop;

record! {
    /// Begins a walk over all files. Where one is under way, another one follows it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct StartSweep as "start of a sweep" {
        pub kind: SweepKind = 1,
    }
}

impl Act for StartSweep {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        change.begin_sweep(self.kind)?;
        Ok(Outcome::Done)
    }
}

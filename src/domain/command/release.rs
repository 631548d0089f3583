use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{HoldId, Outcome, tables};

record! {
    /// Ends a hold. One that has ended, too.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Release as "release" {
        pub hold_id: HoldId = 1,
    }
}

impl Act for Release {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        if let Some(hold) = tables::hold(change.store, self.hold_id)? {
            tables::delete_hold(change.store, self.hold_id, &hold)?;
        }
        Ok(Outcome::Done)
    }
}

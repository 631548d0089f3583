use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::Stop;
use crate::domain::{CopyAt, Outcome, rules, tables};

record! {
    /// Lists copies that no record names as garbage. The log puts this and the commit that would name a copy in order, and
    /// whichever comes second is refused; so no clock decides between them.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Condemn as "condemnation" {
        /// 1 to `MAX_COPIES_LISTED`.
        pub copies: Vec<CopyAt> = 1,
    }
}

impl Act for Condemn {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        rules::check_copies(&self.copies)?;
        let mut rows = 0;
        for copy in &self.copies {
            let known = tables::server(change.store, copy.server_id)?.is_some();
            let listed = tables::garbage(change.store, copy.server_id, copy.blob_id, copy.copy_id)?.is_some();
            // A server has one copy of a blob. If a record names another one there, this is what a repair made whose commit
            // was lost, and its bytes may be the only good ones.
            let named = tables::placement(change.store, copy.server_id, copy.blob_id)?.is_some();
            if known && !listed && !named {
                change.list_garbage(copy.server_id, copy.blob_id, copy.copy_id)?;
                rows += 1;
            }
        }
        Ok(Outcome::Progress { rows, more: false })
    }
}

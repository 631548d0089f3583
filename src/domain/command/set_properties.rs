use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::Property;
use crate::domain::stop::{Stop, require, settle};
use crate::domain::terms::{FileRef, LockProof, Precondition};
use crate::domain::{Outcome, Rejection, RejectionKind, UserId, rules};

record! {
    /// Sets and removes properties of a file or a directory, all of them or none. What is to be removed need not be there.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct SetProperties as "properties of an entry" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        pub set: Vec<Property> = 3,
        pub remove: Vec<String> = 4,
        pub precondition: Option<Precondition> = 5,
        pub lock: Option<LockProof> = 6,
    }
}

impl SetProperties {
    /// What can be told of it alone, for who would carry it further.
    ///
    /// # Errors
    /// What is refused in any case.
    pub fn check(&self) -> Result<(), Rejection> {
        // Nothing is read, so there is no fault.
        settle(rules::check_properties(&self.set, &self.remove)).unwrap_or(Ok(()))
    }
}

impl Act for SetProperties {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let mut reached = rules::reach(change.store, self.user, &self.file)?;
        require(
            reached.may_write(),
            RejectionKind::Forbidden,
            "you may only read this: ask its owner for a write grant",
        )?;
        rules::check_properties(&self.set, &self.remove)?;
        rules::check_lock(change.store, self.user, &reached.entry, self.lock.as_ref())?;
        rules::check_precondition(&reached.entry, self.precondition.as_ref())?;
        change.end_void_lock(&reached.entry)?;
        change.set_properties(&mut reached.entry, &self.set, &self.remove)?;
        Ok(Outcome::Done)
    }
}

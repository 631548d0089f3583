use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, reject, require};
use crate::domain::{Outcome, RejectionKind, Sha256, tables};

record! {
    /// The seal of a restore: puts the cluster into service if all that the backup has is there.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RestoreDone as "seal of a restore" {
        pub backup: Sha256 = 1,
        pub entries: u64 = 2,
        pub users: u64 = 3,
        pub grants: u64 = 4,
        pub contents: u64 = 5,
        pub versions: u64 = 6,
        pub trash: u64 = 7,
        pub retentions: u64 = 18,
        pub properties: u64 = 19,
    }
}

impl Act for RestoreDone {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        if tables::restore(change.store)?.is_some_and(|restore| restore.done && restore.backup == self.backup) {
            return Ok(Outcome::Done);
        }
        let mut restore = change.admit_backup(&self.backup)?;
        let counted = [
            ("entries", self.entries, restore.entries),
            ("users", self.users, restore.users),
            ("grants", self.grants, restore.grants),
            ("contents", self.contents, restore.contents),
            ("old versions", self.versions, restore.versions),
            ("deleted entries", self.trash, restore.trash),
            ("directories with a retention", self.retentions, restore.retentions),
            ("properties", self.properties, restore.properties),
        ];
        if let Some((what, has, came)) = counted.into_iter().find(|(_, has, came)| has != came) {
            let detail = format!("the backup has {has} {what}, and {came} came: run the same restore again");
            return Err(reject(RejectionKind::InvalidRequest, detail));
        }
        let named = restore.unnamed == 0;
        require(named, RejectionKind::InvalidRequest, "the backup has contents that nothing names: verify the backup")?;
        restore.done = true;
        tables::put_restore(change.store, &restore)?;
        Ok(Outcome::Done)
    }
}

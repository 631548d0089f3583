//! The example of a change that a next release brings: a command, a table and a field of schema 2. All of it is behind the
//! feature `next-schema`, with which the test of upgrades builds its second release.

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::Record;
use crate::domain::record::declare::{record, single};
use crate::domain::stop::{Stop, require};
use crate::domain::tables::{self, keys};
use crate::domain::terms::FileRef;
use crate::domain::{FileId, Outcome, ReadStore, RejectionKind, Table, UserId, rules};

record! {
    /// A word on an entry.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Label as "label command" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        /// 1 to 100 bytes.
        pub text: String = 3,
    }
}

single! {
    /// The row of a label.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct LabelRow(String) as "label"
}

impl Act for Label {
    const SINCE: Schema = Schema::SECOND;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let reached = rules::reach(change.store, self.user, &self.file)?;
        require(reached.may_write(), RejectionKind::Forbidden, "you may only read this: ask its owner")?;
        put(change, reached.entry.file_id, &self.text)?;
        Ok(Outcome::Done)
    }
}

/// Puts a label on an entry.
pub(crate) fn put(change: &mut Change<'_>, file: FileId, text: &str) -> Result<(), Stop> {
    let bounded = (1..=100).contains(&text.len());
    require(bounded, RejectionKind::InvalidRequest, "a label has 1 to 100 bytes")?;
    Ok(change.store.put(Table::Labels, &keys::entry(file), &LabelRow(text.to_owned()).to_bytes())?)
}

/// An entry's label, if the user may read the entry.
pub(crate) fn of(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Result<Option<String>, Stop> {
    let reached = rules::reach(store, user, file)?;
    Ok(tables::read::<LabelRow>(store, Table::Labels, &keys::entry(reached.entry.file_id))?.map(|row| row.0))
}

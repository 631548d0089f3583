use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{EntryKind, Span};
use crate::domain::stop::Stop;
use crate::domain::terms::PathRef;
use crate::domain::{Outcome, UserId, rules};

record! {
    /// A new directory, with its missing parents.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Mkdir as "mkdir" {
        pub user: UserId = 1,
        pub at: PathRef = 2,
        /// The example of a field that came later.
        #[cfg(feature = "next-schema")]
        pub label: Option<String> = 3 since Schema::SECOND,
    }
}

impl Act for Mkdir {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let spot = rules::spot(change.store, self.user, &self.at)?;
        let entry = change.create(&spot, EntryKind::Directory(Span::default()))?;
        #[cfg(feature = "next-schema")]
        if let Some(text) = &self.label {
            super::label::put(change, entry.file_id, text)?;
        }
        change.stat(&entry, spot.path, spot.access)
    }
}

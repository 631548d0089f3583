use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{EntryKind, File};
use crate::domain::stop::Stop;
use crate::domain::terms::{NewContent, PathRef};
use crate::domain::{Outcome, UserId, Version, rules};

record! {
    /// A new file, with its missing parents.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Write as "write" {
        pub user: UserId = 1,
        pub at: PathRef = 2,
        pub content: NewContent = 3,
    }
}

impl Act for Write {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let spot = rules::spot(change.store, self.user, &self.at)?;
        let new = &self.content;
        rules::check_content(new)?;
        change.use_room(spot.owner, new.size, 1)?;
        let extent = change.admit(new)?;
        let first = new.version(Version(1), self.user);
        let content_id = first.content_id;
        let entry = change.create(&spot, EntryKind::File(Box::new(File::new(first))))?;
        change.put_content(content_id, entry.file_id, extent)?;
        change.stat(&entry, spot.path, spot.access)
    }
}

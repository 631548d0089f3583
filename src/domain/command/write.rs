use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{Content, EntryKind};
use crate::domain::stop::Stop;
use crate::domain::terms::{NewContent, PathRef};
use crate::domain::{Fence, Outcome, UserId, Version, rules};

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
        let replicas = change.admit(new)?;
        let owed = change.owed_by(replicas.len());
        let content = Content {
            version: Version(1),
            size: new.size,
            sha256: new.sha256,
            content_type: new.content_type.clone(),
            blob_id: new.blob_id,
            replicas,
            placement_rev: 1,
            last_fence: Fence(0),
            owed,
        };
        let entry = change.create(&spot, EntryKind::File(Box::new(content.clone())))?;
        change.enlist(entry.file_id, &content)?;
        change.stat(&entry, spot.path, spot.access)
    }
}

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::stop::{Stop, astray};
use crate::domain::terms::{FileRef, LockProof, NewContent, Precondition};
use crate::domain::{Outcome, UserId, rules};

record! {
    /// A new version of a file that is there.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Update as "update" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        pub content: NewContent = 3,
        pub precondition: Option<Precondition> = 4,
        pub lock: Option<LockProof> = 5,
    }
}

impl Act for Update {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (precondition, lock) = (self.precondition.as_ref(), self.lock.as_ref());
        let reached = rules::allow_update(change.store, self.user, &self.file, precondition, lock)?;
        let new = &self.content;
        rules::check_content(new)?;
        let retained = change.retained(&reached)?;
        let extent = change.admit(new)?;
        let mut entry = reached.entry;
        let file_id = entry.file_id;
        let Some(mut file) = entry.file().cloned() else {
            return Err(astray(format!("entry {file_id} is no file")));
        };
        let next = new.version(file.current.version.next(), self.user);
        let content_id = next.content_id;
        change.supersede(&mut entry, &mut file, next, &retained)?;
        change.put_content(content_id, file_id, extent)?;
        change.stat(&entry, reached.path, reached.access)
    }
}

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::FileVersion;
use crate::domain::stop::{Stop, astray, reject, require};
use crate::domain::terms::{FileRef, LockProof, Precondition};
use crate::domain::{Outcome, RejectionKind, UserId, Version, rules, tables};

record! {
    /// Makes what a file was what it is: a new version with an old content.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RestoreVersion as "return of a version" {
        pub user: UserId = 1,
        pub file: FileRef = 2,
        pub version: Version = 3,
        pub precondition: Option<Precondition> = 4,
        pub lock: Option<LockProof> = 5,
    }
}

impl Act for RestoreVersion {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (precondition, lock) = (self.precondition.as_ref(), self.lock.as_ref());
        let reached = rules::allow_update(change.store, self.user, &self.file, precondition, lock)?;
        let retained = change.retained(&reached)?;
        let mut entry = reached.entry;
        let Some(mut file) = entry.file().cloned() else {
            return Err(astray(format!("entry {} is no file", entry.file_id)));
        };
        require(
            file.current.version != self.version,
            RejectionKind::InvalidRequest,
            "this is the file's current version: name an older one",
        )?;
        let old = tables::version(change.store, entry.file_id, self.version)?.ok_or_else(|| {
            reject(RejectionKind::NotFound, "this version is not kept: `ringmaster history` lists those that are")
        })?;
        change.name_content(old.file.content_id)?;
        let next = FileVersion { version: file.current.version.next(), made_by: self.user, ..old.file };
        change.supersede(&mut entry, &mut file, next, &retained)?;
        change.stat(&entry, reached.path, reached.access)
    }
}

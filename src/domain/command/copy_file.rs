use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::{EntryKind, File, FileVersion};
use crate::domain::stop::{Stop, reject};
use crate::domain::terms::{FileRef, PathRef};
use crate::domain::{Outcome, RejectionKind, UserId, Version, rules};

record! {
    /// A new file with the content and the properties of another. No byte is moved: both name the same.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CopyFile as "copy of a file" {
        pub user: UserId = 1,
        pub from: FileRef = 2,
        pub to: PathRef = 3,
    }
}

impl Act for CopyFile {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = false;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let source = rules::reach(change.store, self.user, &self.from)?;
        let Some(file) = source.entry.file() else {
            let detail = "this is a directory: copy what is in it file by file, as `ringmaster cp -r` does";
            return Err(reject(RejectionKind::InvalidRequest, detail));
        };
        let spot = rules::spot(change.store, self.user, &self.to)?;
        change.use_room(spot.owner, file.current.size, 1)?;
        change.name_content(file.current.content_id)?;
        let first = FileVersion { version: Version(1), made_by: self.user, ..file.current.clone() };
        let mut entry = change.create(&spot, EntryKind::File(Box::new(File::new(first))))?;
        change.copy_properties(&source.entry, &mut entry)?;
        change.stat(&entry, spot.path, spot.access)
    }
}

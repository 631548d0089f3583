use super::{Act, Schema};
use crate::domain::change::{Change, parts_outcome};
use crate::domain::record::declare::record;
use crate::domain::rows::{Content, Part};
use crate::domain::stop::Stop;
use crate::domain::terms::NewContent;
use crate::domain::{ContentId, Outcome, UserId, rules, tables};

record! {
    /// A part of an upload, in one extent; one of the same number that came before goes. The same one again is fine. A larger
    /// part is an upload of its own, with `Purpose::Part`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct PutPart as "part command" {
        pub user: UserId = 1,
        pub upload_id: ContentId = 2,
        /// 1 to `MAX_PARTS`.
        pub number: u32 = 3,
        /// Without a content type: the upload has one.
        pub content: NewContent = 4,
    }
}

impl Act for PutPart {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = false;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (user, upload_id, new) = (self.user, self.upload_id, &self.content);
        let content_id = ContentId::of(new.blob_id);
        rules::check_part_number(self.number)?;
        let (upload, parts, _) = change.known_parts(user, upload_id)?;
        let same = |part: Part| part.content_id == content_id;
        // Named before, as a part or as the piece that this has become: its sender must not take the bytes back.
        let ours = |content: Content| content.part_of == Some(upload_id);
        if tables::part(change.store, upload_id, self.number)?.is_some_and(same)
            || (parts.completing.is_some() && tables::content(change.store, content_id)?.is_some_and(ours))
        {
            return Ok(parts_outcome(upload_id, &upload, &parts));
        }
        let open = change.open_parts(user, upload_id, self.number)?;
        rules::check_content(new)?;
        let extent = change.admit(new)?;
        change.put_part_content(content_id, upload_id, extent)?;
        let part = Part { content_id, size: new.size, sha256: new.sha256, put_at: change.wall };
        change.place_part((user, upload_id), open, self.number, &part)
    }
}

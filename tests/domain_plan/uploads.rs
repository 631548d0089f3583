//! Uploads in several extents, whose servers die between the first one and the last.

use ringmaster::domain::query::{self, UploadStat};
use ringmaster::domain::rows::Part;
use ringmaster::domain::terms::{FileRef, NewContent, NewExtent, NewPiece, Purpose};
use ringmaster::domain::{Command, ContentId, Sha256, command};

use crate::sim::{ADA, Sim};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

impl Sim {
    fn uploads(&self) -> Vec<UploadStat> {
        self.all_uploads().into_iter().filter(|known| known.upload.parts.is_none()).collect()
    }

    fn all_uploads(&self) -> Vec<UploadStat> {
        query::uploads(&self.store, ADA, None, 1000).expect("no fault in memory").expect("an account").uploads
    }

    fn in_parts(&self) -> Vec<ContentId> {
        let all = self.all_uploads().into_iter();
        all.filter(|known| known.upload.parts.is_some()).map(|known| known.upload_id).collect()
    }

    pub(crate) fn put_part(&mut self, upload: usize, number: u32, lost: u8, late: bool) {
        let upload_id = match self.in_parts().get(upload) {
            Some(known) => *known,
            None => {
                let upload_id = ContentId(self.fresh());
                let (content_type, purpose) = (String::new(), Purpose::Write(self.new_place()));
                let begin = command::BeginParts { user: ADA, upload_id, content_type, idle_ms: DAY_MS, purpose };
                self.propose(begin.into()).expect("the place is free");
                upload_id
            }
        };
        let Some(content) = self.upload(lost) else { return };
        self.commit(command::PutPart { user: ADA, upload_id, number, content }.into(), late);
    }

    /// Of all parts, two at a time. What is late may come when the upload is a file already.
    pub(crate) fn complete(&mut self, upload: usize, steps: usize, late: bool) {
        let Some(upload_id) = self.in_parts().get(upload).copied() else { return };
        for _ in 0..steps {
            let known = query::upload_in_parts(&self.store, ADA, upload_id).expect("no fault in memory");
            let Ok(known) = known else { return };
            let page = query::parts(&self.store, ADA, upload_id, None, 1000).expect("no fault in memory");
            let parts = page.expect("it is ada's").parts;
            let (user, digest) = (ADA, Sha256([4; 32]));
            let command = match known.parts.completing {
                None if parts.is_empty() => return,
                None => {
                    let (revision, pieces) = (known.parts.revision, parts.len() as u64);
                    let size = parts.iter().map(|(_, part)| part.size).sum();
                    command::CompleteParts { user, upload_id, revision, digest, pieces, size, purpose: None }.into()
                }
                Some(_) if !parts.is_empty() => {
                    let pieces = parts.iter().take(2);
                    let piece =
                        |(number, part): &(u32, Part)| NewPiece { number: *number, content_id: part.content_id };
                    command::AddPieces { user, upload_id, digest, pieces: pieces.map(piece).collect() }.into()
                }
                Some(completing) => {
                    let losses = query::losses(&self.store).expect("no fault in memory");
                    let size = completing.size;
                    command::FinishUpload { user, upload_id, size, sha256: None, losses, purpose: None }.into()
                }
            };
            self.commit(command, late);
        }
    }

    /// The log may have it late, in which case another addition may have come first.
    pub(crate) fn send_extents(&mut self, upload: usize, extents: u8, lost: u8, late: bool) {
        let (upload_id, size) = match self.uploads().get(upload) {
            Some(known) => (known.upload_id, known.size),
            None => (self.begin(), 0),
        };
        let mut new = Vec::new();
        for _ in 0..extents {
            let Some(content) = self.upload(lost) else { return };
            let NewContent { blob_id, sha256, receipts, .. } = content;
            new.push(NewExtent { blob_id, size: 64, sha256, receipts });
        }
        let hash = self.fresh().to_be_bytes().to_vec();
        let add = command::AddExtents {
            user: ADA,
            upload_id,
            at: size,
            had: 0,
            extents: new,
            hash,
            tail: Vec::new(),
            length: None,
        };
        self.commit(add.into(), late);
    }

    fn begin(&mut self) -> ContentId {
        let upload_id = ContentId(self.fresh());
        let begin = command::BeginUpload {
            user: ADA,
            upload_id,
            content_type: String::new(),
            length: None,
            idle_ms: DAY_MS,
            hash: vec![1],
            purpose: Purpose::Write(self.new_place()),
        };
        self.propose(begin.into()).expect("the place is free");
        upload_id
    }

    /// By what is known now, whenever it arrives.
    pub(crate) fn finish(&mut self, upload: usize, file: Option<usize>, late: bool) {
        let Some(known) = self.uploads().into_iter().nth(upload) else { return };
        let file = file.and_then(|file| self.pick(file)).map(FileRef::Id);
        let finish = command::FinishUpload {
            user: ADA,
            upload_id: known.upload_id,
            size: known.size,
            sha256: Some(Sha256([2; 32])),
            losses: query::losses(&self.store).expect("no fault in memory"),
            purpose: file.map(|file| Purpose::Update { file, precondition: None, lock: None }),
        };
        self.commit(Command::FinishUpload(finish), late);
    }

    pub(crate) fn give_up(&mut self, upload: usize) {
        if let Some(known) = self.uploads().into_iter().nth(upload) {
            self.propose(command::EndUpload { user: ADA, upload_id: known.upload_id }.into()).expect("it is ada's");
        }
    }
}

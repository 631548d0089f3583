//! Uploads in several extents: what the model makes of them, and how they are acted out.

use ringmaster::domain::terms::{FileRef, NewContent, NewExtent, Purpose};
use ringmaster::domain::{Command, ContentId, RejectionKind, command, query};

use crate::acts::{Aim, Copies};
use crate::model::{IfMatch, Model, Place, Proof};
use crate::stage::{Stage, Verdict, path_ref, user_id};

/// An upload ends when nothing has come for so long.
const IDLE_MS: u64 = 8000;
/// Above all blobs, which contents of one extent are called after.
const FIRST: u128 = 1 << 100;

/// An upload as the model knows it: it came to its end, or is under way.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) user: usize,
    pub(crate) extents: Vec<u64>,
    pub(crate) tail: u64,
    pub(crate) ends: u64,
    pub(crate) over: bool,
    aim: Goal,
    /// As it was begun, to be begun again.
    begun: Purpose,
    /// What was added last, to be sent again.
    last: Option<command::AddExtents>,
}

/// What an upload is to become.
#[derive(Clone, Debug)]
pub(crate) enum Goal {
    Write(Place),
    /// A file by its id is followed wherever it goes meanwhile.
    Update(Option<u64>, Option<Place>, Proof, IfMatch),
}

pub(crate) fn id_of(number: usize) -> ContentId {
    ContentId(FIRST + number as u128)
}

impl Sent {
    fn size(&self) -> u64 {
        self.extents.iter().sum()
    }

    pub(crate) fn offset(&self) -> u64 {
        self.size() + self.tail
    }

    /// Whether so much may be added, and it is added.
    fn add(&mut self, extents: &[u64], tail: u64) -> bool {
        let ended = !self.size().is_multiple_of(64) || (self.size() == 0 && !self.extents.is_empty());
        let last = extents.len().saturating_sub(1);
        let whole = extents.iter().enumerate().all(|(position, size)| {
            let even = *size > 0 && size.is_multiple_of(64);
            let alone = extents.len() == 1 && self.extents.is_empty() && tail == 0;
            even || (position == last && tail == 0 && (*size > 0 || alone))
        });
        let taken_in = extents.iter().sum::<u64>() + tail >= self.tail;
        let fits = whole && taken_in && !ended;
        if fits {
            self.extents.extend(extents);
            self.tail = tail;
        }
        fits
    }
}

impl Model {
    /// Whether what was sent may become this.
    pub(crate) fn may_become(&self, user: usize, goal: &Goal) -> Result<Place, RejectionKind> {
        match goal {
            Goal::Write(place) => self.free(user, place).map(|()| place.clone()),
            Goal::Update(id, place, proof, condition) => {
                let followed = id.and_then(|id| self.by_id(id).cloned());
                let place = if id.is_some() { followed.as_ref() } else { place.as_ref() };
                self.may_update(user, place, *proof, *condition)
            }
        }
    }

    fn sending(&mut self, user: usize, number: usize) -> Result<&mut Sent, RejectionKind> {
        let sent = self.uploads.get_mut(number).filter(|sent| !sent.over && sent.user == user);
        sent.ok_or(RejectionKind::NotFound)
    }

    pub(crate) fn end_uploads(&mut self) {
        for sent in self.uploads.iter_mut().filter(|sent| sent.ends <= self.now) {
            sent.over = true;
        }
        for sent in self.parts.iter_mut().filter(|sent| sent.ends <= self.now) {
            sent.over = true;
        }
    }
}

impl Stage {
    /// The model's number of one of the uploads that were ever begun; of one that never was where there is none.
    fn sent(&self, pick: usize) -> usize {
        pick % self.model.uploads.len().max(1)
    }

    pub(crate) fn aim(&self, aim: &Aim) -> (Purpose, Goal) {
        match aim {
            Aim::Write { owner, names } => {
                (Purpose::Write(path_ref(*owner, names)), Goal::Write((*owner, names.clone())))
            }
            Aim::Update { target, token, condition } => {
                let (file, place) = self.target(target);
                let (lock, proof) = self.token(token);
                let (precondition, matches) = self.condition(*condition, place.as_ref());
                let id = match &file {
                    FileRef::Id(id) => Some(id.0),
                    FileRef::Path(_) => None,
                };
                (Purpose::Update { file, precondition, lock }, Goal::Update(id, place, proof, matches))
            }
        }
    }

    fn hash(&self) -> Vec<u8> {
        // Another one after each step.
        self.log.len().to_be_bytes().to_vec()
    }

    pub(crate) fn begin(&mut self, user: usize, aim: &Aim) -> (Command, Verdict) {
        let (purpose, goal) = self.aim(aim);
        let upload_id = id_of(self.model.uploads.len());
        let verdict = self.model.may_become(user, &goal).map(|_| (None, None));
        if verdict.is_ok() {
            let ends = self.model.now + IDLE_MS;
            let begun = purpose.clone();
            let sent = Sent { user, extents: Vec::new(), tail: 0, ends, over: false, aim: goal, begun, last: None };
            self.model.uploads.push(sent);
        }
        (self.begin_command(user, upload_id, purpose).into(), verdict)
    }

    fn begin_command(&self, user: usize, upload_id: ContentId, purpose: Purpose) -> command::BeginUpload {
        command::BeginUpload {
            user: user_id(user),
            upload_id,
            content_type: "text/plain".to_owned(),
            length: None,
            idle_ms: IDLE_MS,
            hash: self.hash(),
            purpose,
        }
    }

    /// The same upload once more: its user hears how far it has come, and nobody else has one of this id.
    pub(crate) fn begin_again(&self, user: usize, pick: usize) -> Option<(Command, Verdict)> {
        let number = self.sent(pick);
        let sent = self.model.uploads.get(number).filter(|sent| !sent.over)?;
        let verdict = if sent.user == user { Ok((None, None)) } else { Err(RejectionKind::AlreadyExists) };
        Some((self.begin_command(user, id_of(number), sent.begun.clone()).into(), verdict))
    }

    pub(crate) fn add(
        &mut self,
        user: usize,
        pick: usize,
        (sizes, tail): (&[u64], u64),
        right: bool,
        copies: Copies,
    ) -> Option<(Command, Verdict)> {
        let number = self.sent(pick);
        let mut good = true;
        let mut extents = Vec::new();
        for (position, size) in sizes.iter().enumerate() {
            let copies = if position > 0 && matches!(copies, Copies::UsedBlob) { Copies::Good } else { copies };
            let (NewContent { blob_id, sha256, receipts, .. }, fine) = self.content(copies);
            good &= fine;
            extents.push(NewExtent { blob_id, size: *size, sha256, receipts });
        }
        let known = self.model.uploads.get(number).map_or((0, 0), |sent| (sent.size(), sent.tail));
        if (sizes.is_empty() && tail == 0) || (known == (0, 0) && !right) {
            return None;
        }
        let at = if right { known.0 } else { known.0.saturating_sub(64) };
        let had = if right || at != known.0 { known.1 } else { known.1 + 1 };
        let (upload_id, hash) = (id_of(number), self.hash());
        let tail_bytes = vec![7; usize::try_from(tail).expect("it is short")];
        let command = command::AddExtents {
            user: user_id(user),
            upload_id,
            at,
            had,
            extents,
            hash,
            tail: tail_bytes,
            length: None,
        };
        let uneven = |size: &u64| !size.is_multiple_of(64) || *size == 0;
        let last = sizes.len().saturating_sub(1);
        // What the command alone tells comes before how far the upload is.
        let shaped = sizes.iter().enumerate().all(|(position, size)| !uneven(size) || (position == last && tail == 0));
        let ends = self.model.now + IDLE_MS;
        let verdict = self.model.sending(user, number).and_then(|sent| {
            if !shaped {
                return Err(RejectionKind::InvalidRequest);
            }
            if !right {
                return Err(RejectionKind::VersionConflict);
            }
            let mut longer = sent.clone();
            if !longer.add(sizes, tail) {
                return Err(RejectionKind::InvalidRequest);
            }
            if !good {
                return Err(RejectionKind::StaleReceipt);
            }
            longer.ends = ends;
            longer.last = Some(command.clone());
            *sent = longer;
            Ok((None, None))
        });
        Some((command.into(), verdict))
    }

    /// What was added last is there already.
    pub(crate) fn add_again(&mut self, user: usize, pick: usize) -> Option<(Command, Verdict)> {
        let number = self.sent(pick);
        let last = self.model.uploads.get(number)?.last.clone()?;
        let verdict = self.model.sending(user, number).map(|_| (None, None));
        Some((command::AddExtents { user: user_id(user), ..last }.into(), verdict))
    }

    pub(crate) fn finish(
        &mut self,
        user: usize,
        pick: usize,
        aim: Option<&Aim>,
        (looked, sized): (bool, bool),
    ) -> (Command, Verdict) {
        let number = self.sent(pick);
        let (purpose, goal) = aim.map(|aim| self.aim(aim)).unzip();
        let losses = query::losses(&self.store).expect("no fault in memory") + u64::from(!looked);
        let size = self.model.uploads.get(number).map_or(0, Sent::size) + u64::from(!sized);
        let command = command::FinishUpload {
            user: user_id(user),
            upload_id: id_of(number),
            size,
            sha256: None,
            losses,
            purpose,
        };
        let verdict = self.model.sending(user, number).map(|sent| sent.clone()).and_then(|sent| {
            if sent.extents.is_empty() || sent.tail > 0 || !sized {
                return Err(RejectionKind::VersionConflict);
            }
            if !looked {
                return Err(RejectionKind::StaleReceipt);
            }
            let goal = goal.unwrap_or(sent.aim);
            let place = self.model.may_become(user, &goal)?;
            match goal {
                Goal::Write(_) => drop(self.model.create(user, &place, Some(size))?),
                Goal::Update(..) => self.model.supersede(&place, size),
            }
            self.model.uploads[number].over = true;
            Ok((Some(place), None))
        });
        (command.into(), verdict)
    }

    pub(crate) fn give_up(&mut self, user: usize, pick: usize) -> (Command, Verdict) {
        let number = self.sent(pick);
        if let Ok(sent) = self.model.sending(user, number) {
            sent.over = true;
        }
        (command::EndUpload { user: user_id(user), upload_id: id_of(number) }.into(), Ok((None, None)))
    }

    /// What a user is told of an upload is what the model knows of it.
    pub(crate) fn assert_told(&self, upload_id: ContentId, offset: u64) {
        if let Some(bytes) = self.bytes_in_parts(upload_id) {
            assert_eq!(offset, bytes, "{upload_id}");
            return;
        }
        let number = usize::try_from(upload_id.0 - FIRST).expect("it was begun here");
        assert_eq!(offset, self.model.uploads[number].offset(), "upload {number}");
    }

    /// A reader keeps one of the contents that were ever sent, where there is anything to be kept.
    pub(crate) fn pin(&mut self, pick: usize) {
        let content_id = id_of(self.sent(pick));
        self.run(command::PinContent { user: user_id(0), content_id, ttl_ms: IDLE_MS }.into()).ok();
    }

    /// All that is under way is listed to who sends it.
    pub(crate) fn assert_listed(&self, user: usize) {
        let page = query::uploads(&self.store, user_id(user), None, 1000).expect("no fault in memory");
        let told = page.expect("an account").uploads;
        let (parted, told): (Vec<_>, Vec<_>) = told.into_iter().partition(|told| told.upload.parts.is_some());
        self.assert_parts_listed(user, &parted);
        let told: Vec<_> = told.iter().map(|told| (told.upload_id, told.offset(), told.extents)).collect();
        let own = self.model.uploads.iter().enumerate().filter(|(_, sent)| !sent.over && sent.user == user);
        let known: Vec<_> =
            own.map(|(number, sent)| (id_of(number), sent.offset(), sent.extents.len() as u64)).collect();
        assert_eq!(told, known, "of user {user}");
    }
}

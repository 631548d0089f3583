//! What is kept of an operation's outcome, and how a repeat is answered from it.
//!
//! A repeat hears what the first attempt heard, whatever has become of the entry since. A whole `Stat` for each change
//! would outweigh the index. But the repeat brings most of it along, since by its fingerprint it is the same request: the
//! path, the size, the digest, the content type. So the rest is kept. Keeping the entry's id alone and telling what it is
//! now was considered: that is another answer where the file has moved on, and none where it was deleted.
//!
//! What no user sees comes back as 0: the blob, epochs and copy ids of the replicas, and the deadline of a lock.

use super::answer::{ContentStat, LockStat, ReplicaStat, Stat};
use super::rows::{Done, Kept, KeptContent, KeptEntry, KeptLock, KeptPlace, ToldContent};
use super::rules::Describer;
use super::terms::{FileRef, NewContent, PathRef, Purpose};
use super::{
    Answer, BlobId, ClusterTime, Command, ContentId, CopyId, Epoch, Fault, Outcome, ReadStore, Rejection,
    RejectionKind, UserId, tables,
};

/// What a request says of the entry that it is answered with.
struct Said<'a> {
    at: Option<&'a PathRef>,
    content: Option<&'a NewContent>,
    /// It came with a lock token, so that a lock on the entry is the user's own.
    lock: bool,
}

impl<'a> Said<'a> {
    /// Nothing where such a command is not answered with an entry.
    fn by(command: &'a Command) -> Option<Self> {
        Some(match command {
            Command::Mkdir(mkdir) => Self { at: Some(&mkdir.at), content: None, lock: false },
            Command::Write(write) => Self { at: Some(&write.at), content: Some(&write.content), lock: false },
            Command::Update(update) => {
                let at = match &update.file {
                    FileRef::Path(at) => Some(at),
                    FileRef::Id(_) => None,
                };
                Self { at, content: Some(&update.content), lock: update.lock.is_some() }
            }
            // What it is named for may stand in the upload alone.
            Command::FinishUpload(finish) => {
                let lock = matches!(finish.purpose, Some(Purpose::Update { lock: Some(_), .. }));
                Self { at: None, content: None, lock }
            }
            Command::CopyFile(copy) => Self { at: Some(&copy.to), content: None, lock: false },
            Command::RestoreVersion(restored) => {
                let at = match &restored.file {
                    FileRef::Path(at) => Some(at),
                    FileRef::Id(_) => None,
                };
                Self { at, content: None, lock: restored.lock.is_some() }
            }
            Command::RestoreTrashed(_) => Self { at: None, content: None, lock: false },
            Command::Move(moved) => Self { at: Some(&moved.to), content: None, lock: moved.lock.is_some() },
            _ => return None,
        })
    }

    fn says_place(&self, stat: &Stat, user: UserId) -> bool {
        self.at.is_some_and(|at| {
            let owner = at.owner.as_ref().map_or(stat.owner_id == user, |name| *name == stat.owner);
            owner && at.path == stat.path
        })
    }

    fn says_content(&self, content: &ContentStat) -> bool {
        self.content.is_some_and(|new| {
            (new.size, Some(new.sha256), &new.content_type) == (content.size, content.sha256, &content.content_type)
        })
    }
}

/// Under which name the completion of an upload in parts is remembered. No client's name and none of a node's begins so.
pub(super) fn completion(upload: ContentId) -> String {
    format!("p:{upload}")
}

/// What is kept of an answer to a command of the user.
pub(super) fn keep(answer: &Answer, user: UserId, command: &Command) -> Kept {
    let entry = match (answer, Said::by(command)) {
        (Ok(Outcome::Stat(stat)), Some(said)) => keep_entry(stat, user, &said),
        _ => None,
    };
    entry.map_or_else(|| Kept::Whole(answer.clone()), |entry| Kept::Entry(Box::new(entry)))
}

/// Nothing where it could not be told again.
fn keep_entry(stat: &Stat, user: UserId, said: &Said<'_>) -> Option<KeptEntry> {
    if stat.lock.is_some() && !said.lock {
        return None;
    }
    let place = KeptPlace { owner: stat.owner_id, path: stat.path.clone() };
    Some(KeptEntry {
        file_id: stat.file_id,
        access: stat.access,
        created_at: stat.created_at,
        modified_at: (stat.modified_at != stat.created_at).then_some(stat.modified_at),
        place: (!said.says_place(stat, user)).then_some(place),
        content: stat.content.as_ref().map(|content| keep_content(content, said)),
        lock: stat.lock.as_ref().map(|lock| KeptLock { fence: lock.fence, expires_at: lock.expires_at }),
    })
}

fn keep_content(content: &ContentStat, said: &Said<'_>) -> KeptContent {
    let told = ToldContent { size: content.size, sha256: content.sha256, content_type: content.content_type.clone() };
    let uncounted = content.replicas.iter().filter(|replica| !replica.counts);
    KeptContent {
        version: content.version,
        content_id: content.content_id,
        extents: if content.extents == 1 { None } else { Some(content.extents) },
        servers: content.replicas.iter().map(|replica| replica.server_id).collect(),
        uncounted: uncounted.map(|replica| replica.server_id).collect(),
        told: (!said.says_content(content)).then_some(told),
    }
}

/// The answer to a repeat: `command` is what the repeat asks for.
pub(super) fn answer(store: &dyn ReadStore, user: UserId, done: &Done, command: &Command) -> Result<Answer, Fault> {
    match &done.kept {
        Kept::Whole(answer) => Ok(answer.clone()),
        Kept::Entry(entry) => {
            let told = Said::by(command).map(|said| tell(store, user, entry, &said)).transpose()?.flatten();
            // It cannot be: the fingerprint says that it is the same request.
            Ok(told.map(|stat| Outcome::Stat(Box::new(stat))).ok_or_else(reused))
        }
    }
}

/// The refusal of an operation's id for another request.
pub(super) fn reused() -> Rejection {
    let detail = "this Idempotency-Key was used for another request: use a fresh one for each change";
    Rejection { kind: RejectionKind::IdempotencyKeyReused, detail: detail.to_owned() }
}

/// Nothing where the request does not say what was not kept.
fn tell(store: &dyn ReadStore, user: UserId, kept: &KeptEntry, said: &Said<'_>) -> Result<Option<Stat>, Fault> {
    let (owner_id, path) = match (&kept.place, said.at) {
        (Some(place), _) => (place.owner, place.path.clone()),
        (None, Some(at)) => {
            let owner = match &at.owner {
                None => Some(user),
                Some(name) => tables::user_id(store, name)?,
            };
            let Some(owner) = owner else { return Ok(None) };
            (owner, at.path.clone())
        }
        (None, None) => return Ok(None),
    };
    let content = match &kept.content {
        None => None,
        Some(content) => match tell_content(content, said) {
            Some(content) => Some(content),
            None => return Ok(None),
        },
    };
    // Accounts keep their names.
    let mut names = Describer::new(store);
    let lock = match &kept.lock {
        None => None,
        Some(lock) => Some(LockStat {
            owner: names.username(user)?,
            fence: lock.fence,
            expires_at: lock.expires_at,
            deadline: ClusterTime(0),
        }),
    };
    Ok(Some(Stat {
        file_id: kept.file_id,
        path,
        owner: names.username(owner_id)?,
        owner_id,
        access: kept.access,
        created_at: kept.created_at,
        modified_at: kept.modified_at.unwrap_or(kept.created_at),
        content,
        lock,
    }))
}

fn tell_content(kept: &KeptContent, said: &Said<'_>) -> Option<ContentStat> {
    let (size, sha256, content_type) = match (&kept.told, said.content) {
        (Some(told), _) => (told.size, told.sha256, &told.content_type),
        (None, Some(new)) => (new.size, Some(new.sha256), &new.content_type),
        (None, None) => return None,
    };
    let replica = |server_id| ReplicaStat {
        server_id,
        epoch: Epoch(0),
        copy_id: CopyId(0),
        counts: !kept.uncounted.contains(&server_id),
    };
    Some(ContentStat {
        version: kept.version,
        size,
        sha256,
        content_type: content_type.clone(),
        content_id: kept.content_id,
        extents: kept.extents.unwrap_or(1),
        blob_id: BlobId(0),
        replicas: kept.servers.iter().copied().map(replica).collect(),
    })
}

#[cfg(test)]
mod tests;

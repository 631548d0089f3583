//! A backup of contents of many extents, and a cluster that is made from it, whatever breaks off on the way.

use ringmaster::domain::answer::ContentStat;
use ringmaster::domain::restored::{self, BackedUp};
use ringmaster::domain::terms::{FileRef, Policy, Purpose, RestoredRow};
use ringmaster::domain::{
    BlobId, Command, ContentId, MemoryStore, Outcome, ReadStore, RejectionKind, Sha256, Table, UserId, Version,
    command, query,
};

use crate::backup::{new_cluster, put, refused, restore, rows_of, stored};
use crate::cluster::{ADA, Cluster, at, file};
use crate::uploads::{ID, begin, rows, to};

const BACKUP: Sha256 = Sha256([5; 32]);
const NOBODY: UserId = UserId(0);
const DAY: u64 = 24 * 60 * 60 * 1000;
/// What the new cluster stores in one piece.
const EXTENT: u64 = 128;

fn update(cluster: &mut Cluster, id: ContentId, path: &str, sizes: &[u64]) {
    let purpose = Purpose::Update { file: file(path), precondition: None, lock: None };
    cluster.must(begin(id, purpose).into());
    cluster.add(id, sizes);
}

/// With all that names contents, and some that nothing names.
fn old_cluster() -> Cluster {
    let mut old = Cluster::new();
    old.must(command::SetPolicy(Policy::default()).into());
    old.write("/small");
    old.large(ContentId(0xa1), "/a", &[64, 64, 64, 7]);
    old.must(command::CopyFile { user: ADA, from: file("/a"), to: at("/copy") }.into());
    update(&mut old, ContentId(0xa2), "/a", &[192, 192]);
    old.finish(ContentId(0xa2)).expect("it is whole");
    // What came in parts has no digest of the whole.
    update(&mut old, ContentId(0xa3), "/a", &[192, 1]);
    old.must(begin(ContentId(0xa7), to("/parts")).into());
    old.add(ContentId(0xa7), &[64, 1]);
    for (upload_id, size) in [(ContentId(0xa3), 193), (ContentId(0xa7), 65)] {
        let parts = command::FinishUpload { user: ADA, upload_id, size, sha256: None, losses: 0, purpose: None };
        old.must(parts.into());
    }
    old.large(ContentId(0xa4), "/gone", &[128, 128, 128, 128, 1]);
    old.delete("/gone").expect("it goes to the trash");
    old.large(ContentId(0xa5), "/one", &[64]);
    old.large(ContentId(0xa6), "/dead", &[64, 64]);
    old.must(command::PinContent { user: ADA, content_id: ContentId(0xa6), ttl_ms: 60_000 }.into());
    old.delete_for_good("/dead");
    old.must(begin(ID, to("/open")).into());
    old.add(ID, &[64, 64]);
    let tail = command::AddExtents { tail: vec![1; 9], ..old.more(ID, &[]) };
    old.must(tail.into());
    // Less than there is, and far less than what is on its way in between.
    old.must(command::SetPolicy(Policy { quota_bytes: 20, ..Policy::default() }).into());
    old.sound();
    old
}

/// The contents of a backup, with their sizes.
fn contents(old: &Cluster) -> Vec<((ContentId, Vec<u8>), u64)> {
    let (_, contents) = rows_of(&old.store);
    let backed =
        contents.into_iter().filter(|(_, row)| restored::is_backed_up(&old.store, row).expect("it can be read"));
    let sized = backed.map(|found| (restored::content(&found.1).expect("it can be read").0, found));
    sized.map(|(size, found)| (found, size)).collect()
}

#[test]
fn a_backup_has_what_is_named_and_nothing_else() {
    let old = old_cluster();
    let ids: Vec<_> = contents(&old).iter().map(|((id, _), _)| id.0).collect();
    // The small file's has the number of its blob, as has the copy none of its own.
    assert_eq!(ids.len(), 7, "{ids:?}");
    let mut expected = Vec::new();
    for (key, value) in old.store.scan(Table::Contents, &[], None, 100).expect("no fault") {
        let id = ContentId(u128::from_be_bytes(key[..].try_into().expect("an id")));
        let named = restored::blobs(&old.store, &key, &value).expect("it can be read");
        if [ID, ContentId(0xa6)].contains(&id) {
            assert_eq!(named, None, "{id}");
            continue;
        }
        let found = query::extents(&old.store, id, 0, 100).expect("no fault");
        let blobs: Vec<BlobId> = found.iter().map(|found| found.extent.blob_id).collect();
        assert_eq!(named, Some((id, blobs.clone())));
        expected.extend(blobs.into_iter().map(|blob| (id, blob)));
    }
    let (mut backed_up, mut found) = (BackedUp::default(), Vec::new());
    for table in Table::ALL {
        for (key, value) in old.store.scan(table, &[], None, usize::MAX).expect("no fault") {
            let extent = backed_up.extent(&old.store, table, &key, &value).expect("it can be read");
            found.extend(extent.map(|(id, extent)| (id, extent.blob_id)));
        }
    }
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// A restore that breaks off after so many commands, each of which is proposed twice.
struct Driver<'a> {
    new: &'a mut Cluster,
    left: usize,
}

/// It broke off.
struct BrokenOff;

impl Driver<'_> {
    fn must(&mut self, command: impl Into<Command>) -> Result<Outcome, BrokenOff> {
        self.left = self.left.checked_sub(1).ok_or(BrokenOff)?;
        let command = command.into();
        let outcome = self.new.must(command.clone());
        let again = self.new.must(command);
        assert_eq!(again, outcome, "the leader does not know what became of the first");
        // Rows come in no particular order.
        if rows(self.new, Table::Entries) == 0 {
            self.new.sound();
        }
        Ok(outcome)
    }

    fn run(&mut self, old: &Cluster) -> Result<(), BrokenOff> {
        let (rows, _) = rows_of(&old.store);
        let first = |row: &RestoredRow| matches!(row.table, Table::Meta | Table::Policy);
        let (policy, rest): (Vec<_>, Vec<_>) = rows.into_iter().partition(first);
        self.must(restore(BACKUP, policy, old))?;
        for (row, size) in contents(old) {
            if !query::missing_contents(&self.new.store, &[row.0]).expect("no fault").is_empty() {
                self.content(&row, size)?;
            }
        }
        for rows in rest.chunks(3) {
            self.must(restore(BACKUP, rows.to_vec(), old))?;
        }
        self.must(seal(old))?;
        Ok(())
    }

    fn content(&mut self, row: &(ContentId, Vec<u8>), size: u64) -> Result<(), BrokenOff> {
        if size <= 64 {
            let content = stored(self.new, &row.1);
            self.must(put(BACKUP, row, content))?;
            return Ok(());
        }
        self.must(begin_restore(row, size))?;
        loop {
            let known = query::upload(&self.new.store, NOBODY, row.0).expect("no fault").expect("it was begun");
            if known.size == size {
                break;
            }
            let extent = self.new.extent(EXTENT.min(size - known.size));
            let (hash, tail) = (known.size.to_be_bytes().to_vec(), Vec::new());
            let (user, upload_id, at) = (NOBODY, row.0, known.size);
            self.must(command::AddExtents {
                user,
                upload_id,
                at,
                had: 0,
                extents: vec![extent],
                hash,
                tail,
                length: None,
            })?;
        }
        let finish = finish_restore(self.new, row, size);
        assert_eq!(self.must(finish)?, Outcome::Progress { rows: 1, more: false });
        Ok(())
    }
}

fn purpose(row: &[u8]) -> Purpose {
    Purpose::Restore { backup: BACKUP, row: row.to_vec() }
}

fn begin_restore((id, row): &(ContentId, Vec<u8>), size: u64) -> command::BeginUpload {
    let begin = begin(*id, purpose(row));
    command::BeginUpload { user: NOBODY, content_type: String::new(), length: Some(size), idle_ms: DAY, ..begin }
}

fn finish_restore(new: &Cluster, (id, row): &(ContentId, Vec<u8>), size: u64) -> command::FinishUpload {
    let (_, digest) = restored::content(row).expect("it can be read");
    command::FinishUpload {
        user: NOBODY,
        upload_id: *id,
        size,
        sha256: Some(digest.unwrap_or(Sha256([0xaa; 32]))),
        losses: query::losses(&new.store).expect("no fault"),
        purpose: Some(purpose(row)),
    }
}

fn seal(old: &Cluster) -> Command {
    let count = |table| rows(old, table) as u64;
    let (entries, users, grants) = (count(Table::Entries), count(Table::Users), count(Table::Grants));
    let (versions, trash) = (count(Table::Versions), count(Table::Trash));
    let contents = contents(old).len() as u64;
    let (retentions, properties) = (count(Table::Retention), count(Table::Properties));
    let backup = BACKUP;
    command::RestoreDone { backup, entries, users, grants, contents, versions, trash, retentions, properties }.into()
}

fn of_file(store: &MemoryStore, path: &str) -> ContentStat {
    query::stat(store, ADA, &file(path)).expect("no fault").expect("it is there").content.expect("a file")
}

/// What both clusters say of each file and version is the same.
fn assert_restored(new: &Cluster, old: &Cluster) {
    new.sound();
    for path in ["/a", "/copy", "/small", "/one", "/parts"] {
        let (new, old) = (of_file(&new.store, path), of_file(&old.store, path));
        assert_eq!((new.version, new.size, new.content_id), (old.version, old.size, old.content_id), "{path}");
        // What came in parts comes back in order, and has a digest.
        let whole = if new.extents == 1 { Sha256([1; 32]) } else { Sha256([0xaa; 32]) };
        assert_eq!(new.sha256, old.sha256.or(Some(whole)), "{path}");
    }
    for version in [1, 2] {
        let read = |store| query::stat_version(store, ADA, &file("/a"), Version(version)).expect("no fault");
        let content = |store| read(store).expect("it is kept").content.expect("a file");
        let (new, old) = (content(&new.store), content(&old.store));
        assert_eq!((new.size, new.sha256, new.content_id), (old.size, old.sha256, old.content_id), "{version}");
    }
    let usage = |store| query::usage(store, ADA).expect("no fault");
    let (new_usage, old_usage) = (usage(&new.store), usage(&old.store));
    assert_eq!((new_usage.bytes + 128, new_usage.files), (old_usage.bytes, old_usage.files), "but what was being sent");
    assert_eq!(query::usage(&new.store, NOBODY).expect("no fault").bytes, 0);
    assert_eq!((rows(new, Table::Uploads), rows(new, Table::Dead)), (0, 0));
    assert!(query::missing_contents(&new.store, &[ID, ContentId(0xa6)]).expect("no fault").len() == 2);
}

#[test]
fn a_restore_may_break_off_anywhere_and_goes_on() {
    let old = old_cluster();
    let mut steps = 0;
    loop {
        let mut new = new_cluster();
        let broken = Driver { new: &mut new, left: steps }.run(&old).is_err();
        // As long as nobody knows.
        new.now += 9 * DAY;
        new.must(command::Expire { limit: 500 }.into());
        if broken {
            assert!(Driver { new: &mut new, left: usize::MAX }.run(&old).is_ok());
        }
        assert_restored(&new, &old);
        if !broken {
            break;
        }
        steps += 1;
    }
    assert!(steps > 20, "{steps}");
}

#[test]
fn a_restore_takes_what_it_is_for_and_nothing_else() {
    let old = old_cluster();
    let mut new = new_cluster();
    let (row, size) =
        contents(&old).into_iter().find(|((id, _), _)| *id == ContentId(0xa4)).expect("it is in the trash");
    new.must(begin_restore(&row, size).into());
    let other = Purpose::Restore { backup: Sha256([6; 32]), row: row.1.clone() };
    let other = command::BeginUpload { purpose: other, upload_id: ContentId(9), ..begin_restore(&row, size) };
    new.must(restore(BACKUP, Vec::new(), &old));
    assert_eq!(refused(&mut new, other.into()), RejectionKind::AlreadyExists, "another backup");
    let user = command::BeginUpload { upload_id: ContentId(9), ..begin(ContentId(9), to("/a")) };
    assert_eq!(refused(&mut new, user.into()), RejectionKind::Restoring);
    // Rows of what is not whole.
    for id in [ID, ContentId(0xa6)] {
        let (_, all) = rows_of(&old.store);
        let unfit = all.into_iter().find(|(found, _)| *found == id).expect("it has a row");
        assert_eq!(refused(&mut new, begin_restore(&unfit, 128).into()), RejectionKind::InvalidRequest, "{id}");
    }
    let junk = command::BeginUpload { purpose: purpose(&[9]), upload_id: ContentId(9), ..begin_restore(&row, size) };
    assert_eq!(refused(&mut new, junk.into()), RejectionKind::InvalidRequest);

    let add = |new: &mut Cluster, at: u64, size: u64| {
        let extents = vec![new.extent(size)];
        let (hash, tail) = (at.to_be_bytes().to_vec(), Vec::new());
        command::AddExtents { user: NOBODY, upload_id: row.0, at, had: 0, extents, hash, tail, length: None }
    };
    let first = add(&mut new, 0, 512);
    new.must(first.into());
    let early = finish_restore(&new, &row, size);
    assert_eq!(refused(&mut new, early.into()), RejectionKind::VersionConflict);
    let last = add(&mut new, 512, 1);
    new.must(last.into());
    let finish = finish_restore(&new, &row, size);
    let wrong = command::FinishUpload { sha256: Some(Sha256([7; 32])), ..finish.clone() };
    assert_eq!(refused(&mut new, wrong.into()), RejectionKind::InvalidRequest, "other bytes");
    let wrong = command::FinishUpload { purpose: Some(to("/a")), ..finish.clone() };
    assert_eq!(refused(&mut new, wrong.into()), RejectionKind::InvalidRequest);
    new.sound();
    // One that nobody goes on with ends by itself when the cluster is in service.
    let stray = command::BeginUpload { upload_id: ContentId(77), ..begin_restore(&row, size) };
    new.must(stray.into());
    let more = command::AddExtents { upload_id: ContentId(77), ..add(&mut new, 0, 64) };
    new.must(more.into());
    new.now += 9 * DAY;
    new.must(command::Expire { limit: 500 }.into());
    assert_eq!(rows(&new, Table::Uploads), 2, "ends rest");
    new.must(finish.into());
    assert!(Driver { new: &mut new, left: usize::MAX }.run(&old).is_ok());
    new.sound();
    let late = command::FinishUpload { upload_id: ContentId(77), size: 64, ..finish_restore(&new, &row, 64) };
    assert!(new.run(late.into()).is_err(), "the cluster is in service");
    new.must(
        command::BeginUpload {
            upload_id: ContentId(88),
            ..begin(ContentId(88), Purpose::Update { file: FileRef::Path(at("/one")), precondition: None, lock: None })
        }
        .into(),
    );
    new.now += 2 * 60 * 60 * 1000;
    new.upkeep();
    assert_eq!(rows(&new, Table::Uploads), 0);
    assert_eq!(query::usage(&new.store, NOBODY).expect("no fault").bytes, 0);
}

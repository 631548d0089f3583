//! Uploads in several extents, from their beginning to the last byte that is left of them.

mod bounds;
mod ends;
mod names;
mod pins;
mod reads;
mod refusals;
mod upkeep;

use ringmaster::domain::answer::Stat;
use ringmaster::domain::plan::{Observed, Task};
use ringmaster::domain::query::{self, UploadStat};
use ringmaster::domain::terms::{FileRef, NewContent, NewExtent, Operation, PathRef, Policy, Purpose};
use ringmaster::domain::{
    BlobId, ClusterTime, Command, ContentId, Outcome, Proposal, ReadStore, Rejection, RejectionKind, Sha256, Table,
    UserId, command, plan,
};

use crate::cluster::{ADA, BOB, Cluster, at, file};

pub(crate) const ID: ContentId = ContentId(0xc0);
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The state of a hash has no meaning here, but it must be another after other bytes.
fn hash(bytes: u64) -> Vec<u8> {
    [vec![7; 97], bytes.to_be_bytes().to_vec()].concat()
}

pub(crate) fn to(path: &str) -> Purpose {
    Purpose::Write(at(path))
}

pub(crate) fn begin(id: ContentId, purpose: Purpose) -> command::BeginUpload {
    command::BeginUpload {
        user: ADA,
        upload_id: id,
        content_type: "text/plain".to_owned(),
        length: None,
        idle_ms: HOUR,
        hash: hash(0),
        purpose,
    }
}

fn finish(id: ContentId, size: u64) -> command::FinishUpload {
    command::FinishUpload { user: ADA, upload_id: id, size, sha256: Some(Sha256([9; 32])), losses: 0, purpose: None }
}

fn end(id: ContentId) -> Command {
    command::EndUpload { user: ADA, upload_id: id }.into()
}

pub(crate) fn rows(cluster: &Cluster, table: Table) -> usize {
    cluster.store.scan(table, &[], None, usize::MAX).expect("no fault").len()
}

impl Cluster {
    /// An extent on the first two servers that take files.
    pub(crate) fn extent(&mut self, size: u64) -> NewExtent {
        let NewContent { blob_id, sha256, mut receipts, .. } = self.content();
        let ring = query::ring(&self.store).expect("no fault");
        let eligible: Vec<_> = ring.servers.into_iter().filter(|server| server.is_eligible()).take(2).collect();
        receipts.truncate(eligible.len());
        for (receipt, server) in receipts.iter_mut().zip(eligible) {
            (receipt.server_id, receipt.epoch) = (server.server_id, server.epoch);
        }
        NewExtent { blob_id, size, sha256, receipts }
    }

    /// What comes next to an upload of ada's.
    pub(crate) fn more(&mut self, id: ContentId, sizes: &[u64]) -> command::AddExtents {
        let known = self.upload(id).expect("it is under way");
        let extents: Vec<_> = sizes.iter().map(|size| self.extent(*size)).collect();
        let size = known.size + sizes.iter().sum::<u64>();
        let had = known.offset() - known.size;
        command::AddExtents {
            user: ADA,
            upload_id: id,
            at: known.size,
            had,
            extents,
            hash: hash(size),
            tail: Vec::new(),
            length: None,
        }
    }

    pub(crate) fn add(&mut self, id: ContentId, sizes: &[u64]) {
        for sizes in sizes.chunks(40) {
            let more = self.more(id, sizes);
            self.must(more.into());
        }
    }

    fn upload(&self, id: ContentId) -> Result<UploadStat, Rejection> {
        query::upload(&self.store, ADA, id).expect("no fault")
    }

    fn losses(&self) -> u64 {
        query::losses(&self.store).expect("no fault")
    }

    /// Finishes what has come so far.
    pub(crate) fn finish(&mut self, id: ContentId) -> Result<Stat, RejectionKind> {
        let size = self.upload(id).map_err(|no| no.kind)?.size;
        let command = command::FinishUpload { losses: self.losses(), ..finish(id, size) };
        match self.run(command.into()) {
            Ok(Outcome::Stat(stat)) => Ok(*stat),
            Ok(other) => panic!("it was answered {other:?}"),
            Err(no) => Err(no.kind),
        }
    }

    /// A file of ada's in extents of these sizes.
    pub(crate) fn large(&mut self, id: ContentId, path: &str, sizes: &[u64]) -> Stat {
        self.must(begin(id, to(path)).into());
        self.add(id, sizes);
        self.finish(id).expect("it is whole")
    }

    pub(crate) fn kind(&mut self, command: impl Into<Command>) -> RejectionKind {
        let before = self.store.clone();
        let kind = self.run(command.into()).expect_err("it is refused").kind;
        assert!(before == self.store, "what was refused took effect");
        kind
    }

    /// A command that must change nothing more, and say the same again.
    fn again(&mut self, command: impl Into<Command>, first: &Outcome) {
        let before = self.store.clone();
        assert_eq!(self.must(command.into()), *first);
        assert!(before == self.store, "the repeat took effect");
    }

    /// Bytes, files, uploads.
    pub(crate) fn usage_of(&self, user: UserId) -> (u64, u64, u64) {
        let usage = query::usage(&self.store, user).expect("no fault");
        let uploads = self.store.scan(Table::Uploads, &[], None, usize::MAX).expect("no fault");
        let own = uploads.iter().filter(|(key, _)| key[..8] == user.0.to_be_bytes()).count();
        (usage.bytes, usage.files, own as u64)
    }

    pub(crate) fn delete_for_good(&mut self, path: &str) {
        let delete = command::Delete {
            user: ADA,
            file: file(path),
            recursive: true,
            precondition: None,
            lock: None,
            permanently: true,
            break_locks: true,
        };
        self.must(delete.into());
    }

    /// What is due now, in bounded steps.
    pub(crate) fn upkeep(&mut self) {
        while query::due(&self.store, self.time()).expect("no fault") {
            self.must(command::Expire { limit: 500 }.into());
            assert!(self.touched <= 2100, "{}", self.touched);
        }
        while query::trash_pending(&self.store, self.time(), ClusterTime(0)).expect("no fault") {
            self.must(command::Reap { limit: 250, ..Default::default() }.into());
            assert!(self.touched <= 300, "{}", self.touched);
        }
        self.sound();
    }

    /// Removes everything, and lets time pass: nothing is left, and the copies can be erased at once.
    pub(crate) fn cleared(&mut self) {
        for user in [ADA, BOB] {
            let root = FileRef::Path(PathRef { owner: None, path: Default::default() });
            let children = query::list(&self.store, user, &root, None, 1000).expect("no fault").expect("it is there");
            for child in children.stats {
                let delete = command::Delete {
                    user,
                    file: FileRef::Id(child.file_id),
                    recursive: true,
                    precondition: None,
                    lock: None,
                    permanently: true,
                    break_locks: true,
                };
                self.must(delete.into());
            }
            self.must(command::EmptyTrash { user, file_id: None }.into());
            let bounds = command::SetQuota { user, max_bytes: None, max_files: None };
            self.must(bounds.into());
        }
        self.upkeep();
        self.now += 8 * DAY;
        self.upkeep();
        self.now += HOUR;
        self.upkeep();
        let left = [
            Table::Contents,
            Table::Extents,
            Table::Dead,
            Table::Uploads,
            Table::Pins,
            Table::Placements,
            Table::Repairs,
            Table::Versions,
            Table::Trash,
            Table::Usage,
        ];
        for table in left {
            assert_eq!(rows(self, table), 0, "{table:?}");
        }
    }

    /// The copies that may be erased now.
    pub(crate) fn erasable(&self) -> usize {
        let observed = Observed { now: ClusterTime(self.now), room: 100, ..Observed::default() };
        let planned = plan(&self.store, &observed).expect("no fault");
        let erased = |task| if let Task::Erase(copies) = task { copies.len() } else { 0 };
        planned.tasks.into_iter().map(erased).sum()
    }
}

fn versioned() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.must(command::SetPolicy(Policy::default()).into());
    cluster
}

fn operation(id: &str) -> Option<Operation> {
    Some(Operation { user: ADA, id: id.to_owned(), fingerprint: Sha256([1; 32]), ttl_ms: 0, from: String::new() })
}

/// Each command is repeated, as by a leader who does not know what became of the first.
#[test]
fn an_upload_becomes_a_file_of_as_many_extents_as_came() {
    for count in [1, 2, 300] {
        let mut cluster = Cluster::new();
        let command = begin(ID, to("/a/b"));
        let first = cluster.must(command.clone().into());
        cluster.again(command.clone(), &first);
        cluster.sound();
        let sizes: Vec<u64> = (1..count).map(|number| 64 * number).chain([7]).collect();
        let mut size = 0;
        for sizes in sizes.chunks(40) {
            let more = cluster.more(ID, sizes);
            let outcome = cluster.must(more.clone().into());
            assert!(cluster.touched <= 20 * sizes.len() + 5, "{}", cluster.touched);
            assert!(cluster.reads <= 8 * sizes.len() + 10, "{} for {}", cluster.reads, sizes.len());
            size += sizes.iter().sum::<u64>();
            let Outcome::Upload { upload_id: ID, offset, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!(offset, size);
            cluster.again(more, &outcome);
            let again = cluster.must(command.clone().into());
            assert_eq!(again, outcome, "who begins again hears how far it has come");
            assert_eq!(cluster.usage_of(ADA), (size, 0, 1), "it counts for who sends it");
            cluster.sound();
        }
        let finish = command::FinishUpload { losses: 0, ..finish(ID, size) };
        let proposal = Proposal { operation: operation("put"), command: finish.clone().into() };
        let Ok(Outcome::Stat(stat)) = cluster.propose(proposal.clone()) else { panic!("it is whole") };
        assert!(cluster.touched <= 30 && cluster.reads <= 30, "{} {}", cluster.touched, cluster.reads);
        cluster.sound();
        let Ok(Outcome::Stat(again)) = cluster.propose(proposal) else { panic!("the repeat hears the same") };
        let content = stat.content.clone().expect("a file");
        let told = again.content.expect("a file");
        let told_of = |content: &ringmaster::domain::answer::ContentStat| {
            (content.version, content.size, content.sha256, content.extents, content.content_type.clone())
        };
        assert_eq!(told_of(&told), told_of(&content));
        assert_eq!((again.path, again.file_id), (stat.path, stat.file_id));
        assert_eq!((content.size, content.extents, content.content_id), (size, count, ID));
        assert_eq!(content.content_type, "text/plain");
        let digest = if count == 1 { Sha256([1; 32]) } else { Sha256([9; 32]) };
        assert_eq!(content.sha256, Some(digest), "one extent's is the whole's");
        assert_eq!(content.replicas.len(), 2);
        // One extent needs no row of its own.
        let extents = if count == 1 { 0 } else { count as usize };
        assert_eq!((rows(&cluster, Table::Extents), rows(&cluster, Table::Contents)), (extents, 1));
        assert_eq!(rows(&cluster, Table::Placements), 2 * count as usize);
        assert_eq!(cluster.usage_of(ADA), (size, 1, 0));

        // It has come to its end.
        assert_eq!(cluster.kind(begin(ID, to("/other"))), RejectionKind::AlreadyExists);
        assert_eq!(cluster.kind(finish), RejectionKind::NotFound);
        cluster.again(end(ID), &Outcome::Progress { rows: 0, more: false });
        let late = command::AddExtents {
            user: ADA,
            upload_id: ID,
            at: size,
            had: 0,
            extents: vec![cluster.extent(64)],
            hash: hash(1),
            tail: Vec::new(),
            length: None,
        };
        assert_eq!(cluster.kind(late), RejectionKind::NotFound);
        cluster.sound();
        cluster.cleared();
        assert_eq!(rows(&cluster, Table::Garbage), 2 * count as usize);
    }
}

#[test]
fn a_file_without_bytes_has_one_extent_without_bytes() {
    let mut cluster = Cluster::new();
    cluster.must(command::BeginUpload { length: Some(0), ..begin(ID, to("/a")) }.into());
    assert_eq!(cluster.kind(finish(ID, 0)), RejectionKind::VersionConflict, "nothing has come");
    let more = cluster.more(ID, &[0]);
    let outcome = cluster.must(more.clone().into());
    cluster.sound();
    cluster.again(more, &outcome);
    let more = cluster.more(ID, &[0]);
    assert_eq!(cluster.kind(more), RejectionKind::InvalidRequest);
    let stat = cluster.finish(ID).expect("it is whole");
    assert_eq!(stat.content.map(|content| (content.size, content.extents)), Some((0, 1)));
    let found = query::extents(&cluster.store, ID, 0, 10).expect("no fault");
    assert_eq!(found.len(), 1);
    cluster.sound();
    cluster.cleared();
}

/// What is too little for an extent is kept until more comes.
#[test]
fn a_tail_is_kept_and_taken_in() {
    let mut cluster = Cluster::new();
    cluster.must(begin(ID, to("/a")).into());
    let tail = |cluster: &mut Cluster, bytes: usize| {
        let more = cluster.more(ID, &[]);
        command::AddExtents { tail: vec![5; bytes], ..more }
    };
    let kept = tail(&mut cluster, 5);
    let outcome = cluster.must(kept.clone().into());
    cluster.again(kept.clone(), &outcome);
    cluster.sound();
    assert_eq!(cluster.upload(ID).expect("it is under way").offset(), 5);
    assert_eq!(cluster.usage_of(ADA), (0, 0, 1), "a few bytes in a row do not count");
    assert_eq!(cluster.kind(finish(ID, 0)), RejectionKind::VersionConflict);
    assert_eq!(cluster.kind(finish(ID, 5)), RejectionKind::VersionConflict);
    // It grows, and is never left out.
    let more = tail(&mut cluster, 4);
    assert_eq!(cluster.kind(more), RejectionKind::InvalidRequest, "five bytes have come");
    let more = tail(&mut cluster, 0);
    assert_eq!(cluster.kind(more), RejectionKind::InvalidRequest, "five bytes have come");
    let more = tail(&mut cluster, 63);
    cluster.must(more.clone().into());
    assert_eq!(cluster.kind(kept), RejectionKind::VersionConflict, "another attempt has gone on");
    let more = command::AddExtents { tail: vec![6; 3], ..cluster.more(ID, &[128]) };
    assert_eq!(more.had, 63);
    let outcome = cluster.must(more.clone().into());
    cluster.again(more, &outcome);
    assert_eq!(cluster.upload(ID).expect("it is under way").offset(), 131);
    let more = cluster.more(ID, &[3]);
    cluster.must(more.into());
    let stat = cluster.finish(ID).expect("it is whole");
    assert_eq!(stat.content.map(|content| (content.size, content.extents)), Some((131, 2)));
    cluster.sound();
    cluster.cleared();
}

#[test]
fn what_a_user_sends_is_listed() {
    let mut cluster = Cluster::new();
    for number in 0..5 {
        let purpose = to(&format!("/{number}"));
        cluster.must(command::BeginUpload { length: Some(128), ..begin(ContentId(number), purpose) }.into());
        cluster.add(ContentId(number), &vec![64; number as usize % 3]);
    }
    cluster.must(command::BeginUpload { user: BOB, ..begin(ContentId(9), to("/b")) }.into());
    for limit in [1, 2, 5, 100] {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page =
                query::uploads(&cluster.store, ADA, cursor.as_deref(), limit).expect("no fault").expect("a page");
            found.extend(page.uploads.iter().map(|upload| (upload.upload_id.0, upload.size, upload.extents)));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, [(0, 0, 0), (1, 64, 1), (2, 128, 2), (3, 0, 0), (4, 64, 1)], "{limit} a page");
    }
    let theirs = query::upload(&cluster.store, BOB, ContentId(1)).expect("no fault");
    assert_eq!(theirs.map_err(|no| no.kind), Err(RejectionKind::NotFound));
    cluster.sound();
    cluster.cleared();
}

fn blobs(cluster: &Cluster, id: ContentId) -> Vec<(u64, BlobId)> {
    let found = query::extents(&cluster.store, id, 0, usize::MAX).expect("no fault");
    found.into_iter().map(|found| (found.offset, found.extent.blob_id)).collect()
}

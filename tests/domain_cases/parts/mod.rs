//! Uploads in parts, from their beginning to the last byte that is left of them.

mod backup;
mod bounds;
mod refusals;

use ringmaster::domain::answer::Stat;
use ringmaster::domain::query::{self, Judged};
use ringmaster::domain::terms::{NewContent, NewExtent, Policy, Purpose};
use ringmaster::domain::{Command, ContentId, Outcome, ReadStore, RejectionKind, Sha256, Table, command};

use crate::cluster::{ADA, BOB, Cluster, at, file};
use crate::uploads::{rows, to};

pub(crate) const ID: ContentId = ContentId(0xa_0000);
const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;

/// Numbers and sizes of parts.
type Sizes<'a> = &'a [(u32, u64)];
/// As a client names parts.
type List = Vec<(u32, Sha256)>;

pub(crate) fn begin(id: ContentId, purpose: Purpose) -> command::BeginParts {
    command::BeginParts { user: ADA, upload_id: id, content_type: "text/plain".to_owned(), idle_ms: HOUR, purpose }
}

fn end(id: ContentId) -> Command {
    command::EndUpload { user: ADA, upload_id: id }.into()
}

/// A digest that is another for each number and size.
fn digest_of(number: u32, size: u64) -> Sha256 {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[4..12].copy_from_slice(&size.to_be_bytes());
    Sha256(bytes)
}

/// The state machine is told it, and does not make it.
fn digest_of_list(list: &List) -> Sha256 {
    let mut bytes = [0; 32];
    for (number, digest) in list {
        for (at, byte) in digest.0.iter().chain(&number.to_be_bytes()).enumerate() {
            bytes[at % 32] = u8::wrapping_add(u8::wrapping_mul(bytes[at % 32], 31), *byte);
        }
    }
    Sha256(bytes)
}

fn list_of(sizes: Sizes<'_>) -> List {
    sizes.iter().map(|(number, size)| (*number, digest_of(*number, *size))).collect()
}

impl Cluster {
    /// A cluster in which parts may be small.
    fn for_parts() -> Self {
        let mut cluster = Self::new();
        cluster.must(command::SetPolicy(Policy { part_min_bytes: 1, ..Policy::default() }).into());
        cluster
    }

    fn part(&mut self, id: ContentId, number: u32, size: u64) -> command::PutPart {
        let NewExtent { blob_id, receipts, .. } = self.extent(size);
        let content =
            NewContent { blob_id, size, sha256: digest_of(number, size), content_type: String::new(), receipts };
        command::PutPart { user: ADA, upload_id: id, number, content }
    }

    fn put(&mut self, id: ContentId, sizes: Sizes<'_>) {
        for (number, size) in sizes {
            let part = self.part(id, *number, *size);
            self.must(part.into());
        }
    }

    /// A part of several extents.
    fn put_large(&mut self, id: ContentId, number: u32, sizes: &[u64]) {
        let own = ContentId((1 << 64) + self.extent(1).blob_id.0);
        let begin = command::BeginUpload { length: None, ..crate::uploads::begin(own, part_of(id, number)) };
        self.must(begin.into());
        self.add(own, sizes);
        let finish = self.finish_part(own, number, sizes.iter().sum());
        self.must(finish.into());
    }

    fn finish_part(&self, own: ContentId, number: u32, size: u64) -> command::FinishUpload {
        let losses = query::losses(&self.store).expect("no fault");
        let sha256 = Some(digest_of(number, size));
        command::FinishUpload { user: ADA, upload_id: own, size, sha256, losses, purpose: None }
    }

    fn judge(&self, id: ContentId, list: &List) -> Result<Judged, (RejectionKind, String)> {
        let judged = query::judge_parts(&self.store, ADA, id, list, digest_of_list(list)).expect("no fault");
        judged.map_err(|no| (no.kind, no.detail))
    }

    fn complete_command(&self, id: ContentId, list: &List) -> command::CompleteParts {
        let Judged { revision, size, pieces, .. } = self.judge(id, list).expect("the list is right");
        let digest = digest_of_list(list);
        command::CompleteParts { user: ADA, upload_id: id, revision, digest, pieces, size, purpose: None }
    }

    /// The next of the list.
    fn pieces_command(&self, id: ContentId, list: &List, most: usize) -> command::AddPieces {
        let mut pieces = self.judge(id, list).expect("the list is right").left;
        pieces.truncate(most);
        command::AddPieces { user: ADA, upload_id: id, digest: digest_of_list(list), pieces }
    }

    fn finish_parts_command(&self, id: ContentId, size: u64) -> command::FinishUpload {
        let losses = query::losses(&self.store).expect("no fault");
        command::FinishUpload { user: ADA, upload_id: id, size, sha256: None, losses, purpose: None }
    }

    /// As a node does it, each command twice.
    fn complete(&mut self, id: ContentId, list: &List, most: usize) -> Stat {
        let complete = self.complete_command(id, list);
        let size = complete.size;
        self.twice(complete.into());
        loop {
            let add = self.pieces_command(id, list, most);
            assert!(add.pieces.len() <= most);
            let outcome = self.twice(add.into());
            if let Outcome::Progress { more: false, .. } = outcome {
                break;
            }
        }
        let finish = self.finish_parts_command(id, size);
        match self.must(finish.into()) {
            Outcome::Stat(stat) => *stat,
            other => panic!("it was answered {other:?}"),
        }
    }

    /// A leader does not know what became of the first.
    fn twice(&mut self, command: Command) -> Outcome {
        let first = self.must(command.clone());
        self.sound();
        let before = self.store.clone();
        assert_eq!(self.must(command), first);
        assert!(before == self.store, "the repeat took effect");
        first
    }

    pub(crate) fn in_parts(&mut self, id: ContentId, path: &str, sizes: Sizes<'_>) -> Stat {
        self.must(begin(id, to(path)).into());
        self.put(id, sizes);
        let mut sorted = sizes.to_vec();
        sorted.sort_unstable();
        self.complete(id, &list_of(&sorted), 250)
    }

    fn completed(&self, id: ContentId, list: &List) -> Result<Option<Stat>, RejectionKind> {
        query::completed(&self.store, ADA, id, digest_of_list(list)).expect("no fault").map_err(|no| no.kind)
    }

    /// Where the extents of a content begin, and their sizes.
    fn layout(&self, id: ContentId) -> Vec<(u64, u64)> {
        let found = query::extents(&self.store, id, 0, 100_000).expect("no fault");
        found.iter().map(|found| (found.offset, found.extent.size)).collect()
    }

    fn assert_nothing_of_parts(&self) {
        for table in [Table::Parts, Table::Pieces, Table::Contents, Table::Extents, Table::Dead, Table::Uploads] {
            assert_eq!(rows(self, table), 0, "{table:?}");
        }
    }
}

fn part_of(upload_id: ContentId, number: u32) -> Purpose {
    Purpose::Part { upload_id, number }
}

#[test]
fn parts_in_any_order_become_one_file() {
    let mut cluster = Cluster::for_parts();
    let command = begin(ID, to("/a/b"));
    cluster.twice(command.clone().into());
    cluster.put(ID, &[(7, 100), (3, 10)]);
    cluster.put_large(ID, 5, &[64, 128, 3]);
    cluster.sound();
    cluster.put(ID, &[(1, 33), (4, 9), (9, 11)]);
    assert_eq!(cluster.usage_of(ADA), (100 + 10 + 195 + 33 + 9 + 11, 0, 1), "they count from when they come");
    // Replaced: what was there goes.
    let again = cluster.part(ID, 3, 20);
    cluster.twice(again.into());
    cluster.put_large(ID, 5, &[64, 64, 64, 8]);
    assert_eq!(cluster.usage_of(ADA), (100 + 20 + 200 + 33 + 9 + 11, 0, 1));
    cluster.sound();
    let outcome = cluster.must(command.into());
    assert!(matches!(outcome, Outcome::Upload { offset: 373, .. }), "who begins again hears: {outcome:?}");

    // Two parts are left out, one in the middle and the last.
    let list = list_of(&[(1, 33), (3, 20), (5, 200), (7, 100)]);
    for most in [1, 2, 250] {
        let mut cluster = cluster.clone();
        let stat = cluster.complete(ID, &list, most);
        cluster.sound();
        let content = stat.content.clone().expect("a file");
        assert_eq!((content.size, content.extents, content.sha256), (353, 7, None), "it is composite");
        assert_eq!((content.content_id, content.replicas.len()), (ID, 2));
        assert_eq!(content.content_type, "text/plain");
        assert_eq!(cluster.usage_of(ADA), (353, 1, 0));
        let expected = [(0, 33), (33, 20), (53, 64), (117, 64), (181, 64), (245, 8), (253, 100)];
        assert_eq!(cluster.layout(ID), expected);
        // From each byte, one extent and all.
        for from in 0..353 {
            let behind: Vec<_> = expected.iter().filter(|(at, size)| at + size > from).copied().collect();
            for limit in [1, 3, 100] {
                let found = query::extents(&cluster.store, ID, from, limit).expect("no fault");
                let found: Vec<_> = found.iter().map(|found| (found.offset, found.extent.size)).collect();
                assert_eq!(found, behind[..behind.len().min(limit)], "from {from}, {limit}");
            }
        }
        assert_eq!(query::extents(&cluster.store, ID, 353, 10).expect("no fault"), []);
        // The same list hears the same for a day, another one a clear no.
        assert_eq!(told(&cluster.completed(ID, &list).expect("it is ours").expect("it is remembered")), told(&stat));
        let other = list_of(&[(1, 33)]);
        assert_eq!(cluster.completed(ID, &other), Err(RejectionKind::AlreadyExists));
        let late = cluster.part(ID, 3, 20);
        assert_eq!(cluster.kind(late), RejectionKind::NotFound);
        assert_eq!(cluster.kind(begin(ID, to("/other"))), RejectionKind::AlreadyExists);
        let finish = cluster.finish_parts_command(ID, 353);
        assert_eq!(cluster.kind(finish), RejectionKind::NotFound);
        cluster.now += DAY;
        cluster.upkeep();
        assert_eq!(cluster.completed(ID, &list), Ok(None));
        cluster.cleared();
        cluster.assert_nothing_of_parts();
    }
}

/// What an answer that is given again says.
fn told(stat: &Stat) -> String {
    let content = stat.content.as_ref().expect("a file");
    let (version, size, id, extents) = (content.version, content.size, content.content_id, content.extents);
    format!("{} {} {version} {size} {id} {extents} {:?}", stat.file_id, stat.path, content.sha256)
}

/// Copies, old versions and what is in the trash name the whole, and keep all of it.
#[test]
fn what_is_made_of_pieces_is_named_like_anything_else() {
    let mut cluster = Cluster::for_parts();
    cluster.in_parts(ID, "/a", &[(2, 50), (1, 40)]);
    cluster.must(command::CopyFile { user: ADA, from: file("/a"), to: at("/copy") }.into());
    let next = ContentId(ID.0 + 1);
    let update = Purpose::Update { file: file("/a"), precondition: None, lock: None };
    cluster.must(begin(next, update).into());
    cluster.put(next, &[(1, 7)]);
    let stat = cluster.complete(next, &list_of(&[(1, 7)]), 250);
    assert_eq!(stat.content.map(|content| (content.version.0, content.size)), Some((2, 7)));
    assert_eq!(cluster.usage_of(ADA), (90 + 90 + 7, 2, 0), "each version counts in full");
    cluster.sound();
    cluster.delete("/a").expect("it goes to the trash");
    cluster.delete_for_good("/copy");
    cluster.sound();
    assert_eq!(cluster.layout(ID), [(0, 40), (40, 50)], "the old version names it");
    let trashed = query::trash(&cluster.store, ADA, None, 10).expect("no fault").expect("an account").entries;
    cluster.must(command::RestoreTrashed { user: ADA, file_id: trashed[0].file_id, to: None }.into());
    let back = command::RestoreVersion {
        user: ADA,
        file: file("/a"),
        version: ringmaster::domain::Version(1),
        precondition: None,
        lock: None,
    };
    cluster.must(back.into());
    cluster.sound();
    cluster.cleared();
    cluster.assert_nothing_of_parts();
}

/// Whoever reads it finds all its extents for as long as garbage lingers, and longer with a pin.
#[test]
fn a_long_read_of_pieces_is_kept_going() {
    let mut cluster = Cluster::for_parts();
    cluster.in_parts(ID, "/a", &[(1, 40), (2, 50)]);
    let linger = query::policy(&cluster.store).expect("no fault").garbage_linger_ms;
    cluster.must(command::PinContent { user: ADA, content_id: ID, ttl_ms: 2 * linger }.into());
    cluster.delete_for_good("/a");
    cluster.upkeep();
    cluster.now += linger;
    cluster.upkeep();
    assert_eq!(cluster.layout(ID), [(0, 40), (40, 50)]);
    cluster.must(command::PinContent { user: ADA, content_id: ID, ttl_ms: linger + 1000 }.into());
    cluster.now += 3 * linger;
    cluster.upkeep();
    cluster.now += 1000;
    cluster.upkeep();
    assert_eq!(cluster.layout(ID), []);
    assert_eq!(cluster.erasable(), 4, "at once: they have lingered with the whole");
    cluster.assert_nothing_of_parts();
    let gone = command::PinContent { user: ADA, content_id: ID, ttl_ms: 2000 };
    assert_eq!(cluster.run(gone.into()).map_err(|no| no.kind), Err(RejectionKind::NotFound));
}

/// Given up, left alone, or left in the middle of its completion.
#[test]
fn parts_end_with_their_upload() {
    let numbers: Vec<_> = (1..=30).map(|number| (number, 64)).collect();
    for how in 0..3 {
        let mut cluster = Cluster::for_parts();
        cluster.must(begin(ID, to("/a")).into());
        cluster.put(ID, &numbers);
        cluster.put_large(ID, 40, &[64, 64]);
        match how {
            0 => {
                cluster.twice_done(end(ID));
            }
            1 => cluster.now += HOUR,
            _ => {
                let list = list_of(&numbers[..20]);
                let complete = cluster.complete_command(ID, &list);
                cluster.must(complete.into());
                let add = cluster.pieces_command(ID, &list, 7);
                cluster.must(add.into());
                assert_eq!(cluster.kind(end(ID)), RejectionKind::ChangeUnderWay);
                cluster.now += HOUR;
                cluster.upkeep();
                assert!(cluster.judge(ID, &list).is_ok(), "it has a day from there");
                cluster.now += DAY - HOUR;
            }
        }
        cluster.upkeep();
        assert_eq!(cluster.usage_of(ADA), (0, 0, 0));
        assert_eq!(cluster.judge(ID, &list_of(&numbers)).map_err(|no| no.0), Err(RejectionKind::NotFound));
        let late = cluster.part(ID, 3, 20);
        assert_eq!(cluster.kind(late), RejectionKind::NotFound);
        cluster.now += HOUR;
        cluster.upkeep();
        cluster.assert_nothing_of_parts();
        assert_eq!(rows(&cluster, Table::Placements), 0);
        assert_eq!(cluster.erasable(), 2 * 32);
    }
}

impl Cluster {
    fn twice_done(&mut self, command: Command) {
        self.must(command.clone());
        self.sound();
        self.must(command);
        self.sound();
    }
}

/// A part's copies are repaired, and those at risk are told by the file that they are in.
#[test]
fn pieces_are_repaired_and_walked_like_any_extent() {
    let mut cluster = Cluster::for_parts();
    cluster.server(3);
    cluster.in_parts(ID, "/a", &[(1, 40), (2, 50)]);
    cluster.must(begin(ContentId(ID.0 + 1), to("/b")).into());
    cluster.put(ContentId(ID.0 + 1), &[(1, 5)]);
    let losses = query::losses(&cluster.store).expect("no fault");
    let down = command::ServerDown { server_id: ringmaster::domain::ServerId(1), epoch: ringmaster::domain::Epoch(1) };
    cluster.must(down.into());
    cluster.sound();
    assert!(query::losses(&cluster.store).expect("no fault") > losses);
    let at_risk = query::at_risk(&cluster.store, query::Viewer::Admin).expect("no fault");
    let named: Vec<_> = at_risk.iter().map(|risk| risk.name.as_ref().map(|(_, path)| path.to_string())).collect();
    assert_eq!(named, [Some("/a".to_owned())], "an upload is no file yet");
    // Nothing is named that was looked at before.
    let id = ContentId(ID.0 + 1);
    let list = list_of(&[(1, 5)]);
    let complete = cluster.complete_command(id, &list);
    cluster.must(complete.into());
    let add = cluster.pieces_command(id, &list, 250);
    cluster.must(add.into());
    let stale = command::FinishUpload { losses, ..cluster.finish_parts_command(id, 5) };
    assert_eq!(cluster.kind(stale), RejectionKind::StaleReceipt);
    let finish = cluster.finish_parts_command(id, 5);
    cluster.must(finish.into());
    cluster.sound();
}

/// What is another user's is not there.
#[test]
fn parts_are_their_users() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    cluster.put(ID, &[(1, 40)]);
    let part = command::PutPart { user: BOB, ..cluster.part(ID, 1, 40) };
    assert_eq!(cluster.kind(part), RejectionKind::NotFound);
    let list = list_of(&[(1, 40)]);
    let complete = command::CompleteParts { user: BOB, ..cluster.complete_command(ID, &list) };
    assert_eq!(cluster.kind(complete), RejectionKind::NotFound);
    let add = command::AddPieces { user: BOB, ..cluster.pieces_command(ID, &list, 250) };
    assert_eq!(cluster.kind(add), RejectionKind::NotFound);
    let finish = command::FinishUpload { user: BOB, ..cluster.finish_parts_command(ID, 40) };
    assert_eq!(cluster.kind(finish), RejectionKind::NotFound);
    cluster.must(command::EndUpload { user: BOB, upload_id: ID }.into());
    assert!(cluster.judge(ID, &list).is_ok(), "it is still there");
    let asked = query::parts(&cluster.store, BOB, ID, None, 10).expect("no fault");
    assert_eq!(asked.map_err(|no| no.kind), Err(RejectionKind::NotFound));
    let begin = command::BeginParts { user: BOB, ..begin(ID, to("/theirs")) };
    assert_eq!(cluster.kind(begin), RejectionKind::AlreadyExists);
    assert_eq!(cluster.completed(ID, &list), Ok(None));
}

#[test]
fn parts_are_listed_page_by_page() {
    let mut cluster = Cluster::for_parts();
    cluster.must(begin(ID, to("/a")).into());
    let sizes: Vec<_> = (1..=25).map(|number| (number * 300, u64::from(number))).collect();
    cluster.put(ID, &sizes);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = query::parts(&cluster.store, ADA, ID, cursor.as_deref(), 7).expect("no fault").expect("it is ada's");
        assert_eq!((page.upload.parts.count, page.upload.parts.bytes), (25, 325));
        found.extend(page.parts.iter().map(|(number, part)| (*number, part.size)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, sizes);
    let listed = query::uploads(&cluster.store, ADA, None, 10).expect("no fault").expect("an account").uploads;
    assert_eq!((listed.len(), listed[0].size, listed[0].upload.parts.is_some()), (1, 325, true));
    assert_eq!(rows(&cluster, Table::Placements), 50);
}

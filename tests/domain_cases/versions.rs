//! What a file was, what was deleted, what is copied, and whose it all is.

use ringmaster::domain::answer::Stat;
use ringmaster::domain::rows::Usage;
use ringmaster::domain::terms::{FileRef, PathRef, Policy};
use ringmaster::domain::{
    ClusterTime, Command, Fence, FileId, FilePath, Outcome, Permission, ReadStore, RejectionKind, Sha256, Table,
    UserId, Version, command, query,
};

use crate::cluster::{ADA, BOB, Cluster, at, file};

const DAY: u64 = 24 * 60 * 60 * 1000;

fn cluster(policy: Policy) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.must(command::SetPolicy(policy).into());
    cluster
}

fn stat(cluster: &Cluster, user: UserId, file: &FileRef) -> Result<Stat, RejectionKind> {
    query::stat(&cluster.store, user, file).expect("no fault").map_err(|no| no.kind)
}

fn kind(cluster: &mut Cluster, command: impl Into<Command>) -> RejectionKind {
    cluster.run(command.into()).expect_err("it is refused").kind
}

fn update(cluster: &mut Cluster, path: &str) {
    let content = cluster.content();
    let update = command::Update { user: ADA, file: file(path), content, precondition: None, lock: None };
    cluster.must(update.into());
}

/// The versions that are kept, the newest first.
fn kept(cluster: &Cluster, path: &str) -> Vec<u64> {
    let (mut versions, mut cursor) = (Vec::new(), None);
    loop {
        let page = query::versions(&cluster.store, ADA, &file(path), cursor.as_deref(), 2);
        let page = page.expect("no fault").expect("ada may");
        versions.extend(page.versions.iter().map(|version| version.version.0));
        cursor = page.next;
        if cursor.is_none() {
            return versions;
        }
    }
}

fn rows(cluster: &Cluster, table: Table) -> usize {
    cluster.store.scan(table, &[], None, usize::MAX).expect("no fault").len()
}

fn copy(from: &str, to: &str) -> command::CopyFile {
    command::CopyFile { user: ADA, from: file(from), to: at(to) }
}

fn delete(path: &str, permanently: bool) -> command::Delete {
    command::Delete {
        user: ADA,
        file: file(path),
        recursive: true,
        precondition: None,
        lock: None,
        permanently,
        break_locks: false,
    }
}

fn back(version: u64) -> command::RestoreVersion {
    command::RestoreVersion { user: ADA, file: file("/a"), version: Version(version), precondition: None, lock: None }
}

fn from_trash(user: UserId, file_id: FileId, to: Option<&str>) -> command::RestoreTrashed {
    command::RestoreTrashed { user, file_id, to: to.map(|path| FilePath::parse(path).expect("the path is valid")) }
}

fn trash(cluster: &Cluster, user: UserId) -> Vec<(FileId, String)> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = query::trash(&cluster.store, user, cursor.as_deref(), 2).expect("no fault").expect("an account");
        found.extend(page.entries.into_iter().map(|entry| (entry.file_id, entry.path.to_string())));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

fn usage(cluster: &Cluster, user: UserId) -> (u64, u64) {
    let usage = query::usage(&cluster.store, user).expect("no fault");
    (usage.bytes, usage.files)
}

fn end_all(cluster: &mut Cluster) {
    while let Outcome::Progress { more: true, .. } = cluster.must(command::Expire { limit: 500 }.into()) {
        assert!(cluster.touched <= 2100, "{}", cluster.touched);
    }
    while query::trash_pending(&cluster.store, cluster.time(), ClusterTime(0)).expect("no fault") {
        cluster.must(command::Reap { limit: 250, ..Default::default() }.into());
        assert!(cluster.touched <= 1100, "{}", cluster.touched);
    }
    cluster.sound();
}

#[test]
fn as_many_versions_are_kept_as_the_policy_says_and_as_long() {
    let mut cluster = cluster(Policy { versions_keep: 3, versions_ms: DAY, ..Policy::default() });
    cluster.write("/a");
    for _ in 0..4 {
        cluster.now += 1000;
        update(&mut cluster, "/a");
        cluster.sound();
    }
    assert_eq!(kept(&cluster, "/a"), [5, 4, 3, 2]);
    assert_eq!(rows(&cluster, Table::Garbage), 2, "the first version's copies");
    assert_eq!(usage(&cluster, ADA), (40, 1));
    // One that is kept no more, one that never was, and the one that is there.
    assert_eq!(kind(&mut cluster, back(1)), RejectionKind::NotFound);
    assert_eq!(kind(&mut cluster, back(9)), RejectionKind::NotFound);
    assert_eq!(kind(&mut cluster, back(5)), RejectionKind::InvalidRequest);
    // Two come to their end.
    cluster.now = 3000 + DAY;
    end_all(&mut cluster);
    assert_eq!(kept(&cluster, "/a"), [5, 4]);
    cluster.must(command::SetPolicy(Policy { versions_keep: 0, ..Policy::default() }).into());
    update(&mut cluster, "/a");
    assert_eq!((kept(&cluster, "/a"), usage(&cluster, ADA)), (vec![6], (10, 1)));
    cluster.sound();
}

#[test]
fn an_old_version_comes_back_as_a_new_one() {
    let mut cluster = cluster(Policy { versions_keep: 2, ..Policy::default() });
    let first = cluster.write("/a").content.expect("a file");
    update(&mut cluster, "/a");
    cluster.share("/a", "bob");
    let asked = query::versions(&cluster.store, BOB, &FileRef::Id(FileId(4)), None, 10).expect("no fault");
    assert_eq!(asked.map_err(|no| no.kind), Err(RejectionKind::Forbidden), "who may only read sees what is there");
    let garbage = rows(&cluster, Table::Garbage);
    let Outcome::Stat(stat) = cluster.must(back(1).into()) else { panic!("a version") };
    let content = stat.content.expect("a file");
    assert_eq!((content.version, content.content_id), (Version(3), first.content_id));
    assert_eq!(rows(&cluster, Table::Garbage), garbage, "no byte is moved");
    cluster.sound();
    // It is named twice, and stays when the older name goes.
    update(&mut cluster, "/a");
    update(&mut cluster, "/a");
    assert_eq!(kept(&cluster, "/a"), [5, 4, 3]);
    cluster.sound();
    let read =
        query::stat_version(&cluster.store, ADA, &file("/a"), Version(3)).expect("no fault").expect("it is kept");
    assert_eq!(read.content.expect("a file").content_id, first.content_id);
    // A lock keeps others out, and its holder may.
    let lock = command::Lock { user: ADA, file: file("/a"), ttl_ms: 60_000, mac_hash: Sha256([4; 32]) };
    cluster.must(lock.into());
    assert_eq!(kind(&mut cluster, back(3)), RejectionKind::Locked);
    let proof = ringmaster::domain::terms::LockProof { fence: Fence(1), mac_hash: Sha256([4; 32]) };
    cluster.must(command::RestoreVersion { lock: Some(proof), ..back(3) }.into());
    cluster.sound();
}

#[test]
fn a_copy_is_one_row_and_outlives_the_original() {
    let mut cluster = cluster(Policy::default());
    let first = cluster.write("/a").content.expect("a file");
    let placements = rows(&cluster, Table::Placements);
    let Outcome::Stat(stat) = cluster.must(copy("/a", "/x/b").into()) else { panic!("a file") };
    assert_eq!(stat.content.expect("a file").content_id, first.content_id);
    assert_eq!((rows(&cluster, Table::Placements), rows(&cluster, Table::Contents)), (placements, 1));
    assert_eq!(usage(&cluster, ADA), (20, 2));
    cluster.sound();
    assert_eq!(kind(&mut cluster, copy("/a", "/x/b")), RejectionKind::AlreadyExists);
    assert_eq!(kind(&mut cluster, copy("/x", "/y")), RejectionKind::InvalidRequest);
    assert_eq!(kind(&mut cluster, copy("/no", "/y")), RejectionKind::NotFound);
    let theirs = command::CopyFile { user: BOB, from: FileRef::Id(FileId(4)), to: at("/mine") };
    assert_eq!(kind(&mut cluster, theirs.clone()), RejectionKind::NotFound, "bob may not read it");
    cluster.share("/a", "bob");
    cluster.must(theirs.into());
    assert_eq!(usage(&cluster, BOB), (10, 1));
    cluster.sound();

    cluster.must(delete("/a", true).into());
    cluster.sound();
    assert_eq!(rows(&cluster, Table::Garbage), 0);
    stat_is_there(&cluster, "/x/b");
    cluster.must(delete("/x/b", true).into());
    cluster.must(command::Delete { user: BOB, file: file("/mine"), ..delete("/mine", true) }.into());
    assert_eq!((rows(&cluster, Table::Garbage), rows(&cluster, Table::Contents)), (2, 0));
    assert_eq!((usage(&cluster, ADA), usage(&cluster, BOB)), ((0, 0), (0, 0)));
    cluster.sound();
}

fn stat_is_there(cluster: &Cluster, path: &str) {
    stat(cluster, ADA, &file(path)).unwrap_or_else(|no| panic!("{path}: {no:?}"));
}

#[test]
fn what_was_deleted_comes_back_with_all_that_is_below_it_and_all_grants() {
    let mut cluster = cluster(Policy::default());
    let inner = cluster.write("/d/e/a").file_id;
    cluster.write("/d/b");
    cluster.share("/d/e", "bob");
    let (directory, used) = (stat(&cluster, ADA, &file("/d")).expect("it is there").file_id, usage(&cluster, ADA));
    stat(&cluster, BOB, &FileRef::Id(inner)).expect("it was shared");
    cluster.must(delete("/d", false).into());
    assert_eq!(usage(&cluster, ADA), used, "what is in the trash counts");
    for user in [ADA, BOB] {
        assert_eq!(stat(&cluster, user, &FileRef::Id(inner)), Err(RejectionKind::NotFound));
    }
    assert!(query::all(&cluster.store, ADA, None, None, 10).expect("no fault").expect("ada").stats.is_empty());
    assert_eq!((trash(&cluster, ADA), trash(&cluster, BOB)), (vec![(directory, "/d".to_owned())], vec![]));
    cluster.sound();

    // Not who it was shared with, not what is below, not onto what is there.
    assert_eq!(kind(&mut cluster, from_trash(BOB, directory, None)), RejectionKind::NotFound);
    assert_eq!(kind(&mut cluster, from_trash(ADA, inner, None)), RejectionKind::NotFound);
    cluster.write("/d");
    assert_eq!(kind(&mut cluster, from_trash(ADA, directory, None)), RejectionKind::AlreadyExists);
    cluster.must(from_trash(ADA, directory, Some("/new/place")).into());
    assert!(trash(&cluster, ADA).is_empty());
    let there = stat(&cluster, BOB, &FileRef::Id(inner)).expect("the grant came back");
    assert_eq!(there.path.to_string(), "/new/place/e/a");
    cluster.sound();
}

#[test]
fn the_trash_ends_and_can_be_emptied_and_then_nothing_is_left() {
    let mut cluster = cluster(Policy { trash_ms: DAY, ..Policy::default() });
    for number in 0..5 {
        let path = format!("/{number}");
        cluster.write(&path);
        update(&mut cluster, &path);
        cluster.must(delete(&path, false).into());
        cluster.now += 1000;
    }
    cluster.mkdir("/empty");
    cluster.must(delete("/empty", false).into());
    let listed = trash(&cluster, ADA);
    assert_eq!(listed.len(), 5, "of an empty directory there is nothing to be had back");
    cluster.must(command::EmptyTrash { user: ADA, file_id: Some(listed[0].0) }.into());
    assert_eq!(kind(&mut cluster, from_trash(ADA, listed[0].0, None)), RejectionKind::NotFound);
    let not = command::EmptyTrash { user: BOB, file_id: Some(listed[1].0) };
    assert_eq!(kind(&mut cluster, not), RejectionKind::NotFound);
    cluster.now = DAY + 1000;
    end_all(&mut cluster);
    assert_eq!(trash(&cluster, ADA), listed[2..], "those whose time has come are gone");
    cluster.must(command::EmptyTrash { user: ADA, file_id: None }.into());
    end_all(&mut cluster);
    for table in [Table::Contents, Table::Placements, Table::Versions, Table::Trash, Table::Usage, Table::Dead] {
        assert_eq!(rows(&cluster, table), 0, "{table:?}");
    }
    assert_eq!(rows(&cluster, Table::Garbage), 20);
}

#[test]
fn a_quota_lets_nothing_in_and_everything_out() {
    let mut cluster = cluster(Policy { quota_files: 2, ..Policy::default() });
    cluster.write("/a");
    cluster.write("/b");
    let over = |cluster: &mut Cluster| {
        let content = cluster.content();
        cluster.run(command::Write { user: ADA, at: at("/c"), content }.into()).map_err(|no| no.kind)
    };
    assert_eq!(over(&mut cluster), Err(RejectionKind::QuotaExceeded));
    assert_eq!(kind(&mut cluster, copy("/a", "/c")), RejectionKind::QuotaExceeded);
    // A user's own bounds go before the policy's; those below what there is take nothing away.
    cluster.must(command::SetQuota { user: ADA, max_bytes: Some(15), max_files: Some(0) }.into());
    assert_eq!(over(&mut cluster), Err(RejectionKind::QuotaExceeded));
    let content = cluster.content();
    let update = command::Update { user: ADA, file: file("/a"), content, precondition: None, lock: None };
    assert_eq!(kind(&mut cluster, update), RejectionKind::QuotaExceeded, "the old version counts");
    cluster.must(delete("/a", true).into());
    assert_eq!(over(&mut cluster), Err(RejectionKind::QuotaExceeded));
    cluster.must(command::SetQuota { user: ADA, max_bytes: Some(20), max_files: None }.into());
    over(&mut cluster).expect("there is room");
    // In another's tree it is the owner's that counts.
    let share = command::Share { user: ADA, file: file("/"), with: "bob".to_owned(), permission: Permission::Write };
    cluster.must(share.into());
    let content = cluster.content();
    let spot = PathRef { owner: Some("ada".to_owned()), ..at("/from bob") };
    assert_eq!(kind(&mut cluster, command::Write { user: BOB, at: spot, content }), RejectionKind::QuotaExceeded);
    assert_eq!(usage(&cluster, BOB), (0, 0));
    assert_eq!(
        kind(&mut cluster, command::SetQuota { user: UserId(9), max_bytes: None, max_files: None }),
        RejectionKind::NotFound
    );
    cluster.sound();
    assert_eq!(Usage::default().max_bytes, None);
}

#[test]
fn an_entry_with_ten_thousand_versions_goes_in_bounded_steps() {
    let mut cluster = cluster(Policy { versions_keep: 100_000, ..Policy::default() });
    cluster.write("/a");
    for _ in 0..10_000 {
        update(&mut cluster, "/a");
        assert!(cluster.touched <= 20, "{}", cluster.touched);
    }
    assert_eq!(usage(&cluster, ADA), (100_010, 1));
    cluster.must(delete("/a", true).into());
    assert!(cluster.touched <= 10, "{}", cluster.touched);
    end_all(&mut cluster);
    assert_eq!((rows(&cluster, Table::Contents), usage(&cluster, ADA)), (0, (0, 0)));
}

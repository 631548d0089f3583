//! Holds, and a cluster that is made from another one's rows.

use ringmaster::domain::plan::{Observed, Task};
use ringmaster::domain::restored::{GAP, Piece, content as content_of, piece};
use ringmaster::domain::rows::Property;
use ringmaster::domain::terms::{LockProof, NewContent, RestoredRow};
use ringmaster::domain::{
    ClusterTime, Command, ContentId, CopyAt, HoldId, MemoryStore, Outcome, ReadStore, RejectionKind, Sha256, Table,
    command, plan, query,
};

use crate::cluster::{ADA, BOB, Cluster, file};

const HOUR: u64 = 60 * 60 * 1000;

fn hold(id: u128, ttl_ms: u64, renew: bool) -> Command {
    Command::Hold(command::Hold { hold_id: HoldId(id), ttl_ms, renew })
}

pub(crate) fn refused(cluster: &mut Cluster, command: Command) -> RejectionKind {
    cluster.run(command).expect_err("it is refused").kind
}

fn erasures(cluster: &Cluster) -> Vec<CopyAt> {
    let observed = Observed { now: ClusterTime(cluster.now), room: 100, ..Observed::default() };
    let planned = plan(&cluster.store, &observed).expect("no fault in memory");
    planned
        .tasks
        .into_iter()
        .filter_map(|task| if let Task::Erase(copies) = task { Some(copies) } else { None })
        .flatten()
        .collect()
}

#[test]
fn while_a_hold_stands_nothing_is_erased() {
    let mut cluster = Cluster::new();
    cluster.write("/a");
    cluster.must(hold(1, 60_000, false));
    cluster.must(hold(2, 60_000, false));
    cluster.delete("/a").expect("it goes");
    cluster.now += HOUR;
    assert!(erasures(&cluster).is_empty(), "the row counts until an Expire has ended it");
    cluster.sound();

    // One that is renewed in time keeps standing when the other one ends.
    cluster.now -= HOUR - 50_000;
    cluster.must(hold(2, HOUR, true));
    cluster.now += 30_000;
    cluster.must(Command::Expire(command::Expire { limit: 250 }));
    assert!(erasures(&cluster).is_empty());
    assert_eq!(refused(&mut cluster, hold(1, 60_000, true)), RejectionKind::NotFound);
    cluster.now += HOUR - 60_000;
    assert!(erasures(&cluster).is_empty());
    cluster.sound();
    cluster.must(Command::Release(command::Release { hold_id: HoldId(2) }));
    cluster.must(Command::Release(command::Release { hold_id: HoldId(2) }));
    assert_eq!(erasures(&cluster).len(), 2);
    cluster.sound();
}

#[test]
fn holds_are_bounded_in_time_and_number() {
    let mut cluster = Cluster::new();
    for ttl_ms in [0, 999, HOUR + 1] {
        assert_eq!(refused(&mut cluster, hold(1, ttl_ms, false)), RejectionKind::InvalidRequest);
    }
    for id in 0..16 {
        cluster.must(hold(id, 1000, false));
    }
    assert_eq!(refused(&mut cluster, hold(16, 1000, false)), RejectionKind::TooManyRequests);
    cluster.must(hold(3, 2000, false));
    cluster.now += 1000;
    cluster.must(Command::Expire(command::Expire { limit: 250 }));
    cluster.must(hold(16, 1000, false));
    cluster.sound();
}

/// Everything that an index has, in two parts: rows, and contents.
pub(crate) fn rows_of(store: &MemoryStore) -> (Vec<RestoredRow>, Vec<(ContentId, Vec<u8>)>) {
    use ringmaster::domain::ReadStore as _;
    let (mut rows, mut contents) = (Vec::new(), Vec::new());
    // In the order in which the command line sends them.
    let order =
        [Table::Meta, Table::Policy, Table::Contents, Table::Entries, Table::Users, Table::Versions, Table::Trash];
    for table in order.into_iter().chain([Table::Usage, Table::Retention, Table::Properties, Table::Grants]) {
        for (key, value) in store.scan(table, &[], None, usize::MAX).expect("no fault in memory") {
            match piece(table, &key, &value).expect("it can be read") {
                Piece::Content(id, _) => contents.push((id, value)),
                Piece::Left => {}
                _ => rows.push(RestoredRow { table, key, value }),
            }
        }
    }
    (rows, contents)
}

pub(crate) fn stored(cluster: &mut Cluster, row: &[u8]) -> NewContent {
    let (size, sha256) = content_of(row).expect("it can be read");
    NewContent { size, sha256: sha256.expect("it came in one piece"), content_type: String::new(), ..cluster.content() }
}

pub(crate) fn restore(backup: Sha256, rows: Vec<RestoredRow>, old: &Cluster) -> Command {
    Command::Restore(command::Restore { backup, rows, taken_at: ClusterTime(old.now) })
}

pub(crate) fn put(backup: Sha256, (content_id, row): &(ContentId, Vec<u8>), content: NewContent) -> Command {
    let (content_id, row) = (*content_id, row.clone());
    Command::RestoreContent(command::RestoreContent { backup, content_id, row, content })
}

fn rows_in(store: &MemoryStore, table: Table) -> u64 {
    store.scan(table, &[], None, usize::MAX).expect("no fault in memory").len() as u64
}

/// The seal of a backup of `old`.
pub(crate) fn seal(backup: Sha256, old: &Cluster) -> Command {
    let count = |table| rows_in(&old.store, table);
    Command::RestoreDone(command::RestoreDone {
        backup,
        entries: count(Table::Entries),
        users: count(Table::Users),
        grants: count(Table::Grants),
        contents: count(Table::Contents),
        versions: count(Table::Versions),
        trash: count(Table::Trash),
        retentions: count(Table::Retention),
        properties: count(Table::Properties),
    })
}

fn old_cluster() -> Cluster {
    let mut old = Cluster::new();
    old.mkdir("/docs/deep");
    for path in ["/docs/a", "/docs/b", "/docs/deep/c", "/gone/d"] {
        old.write(path);
    }
    let content = old.content();
    old.must(Command::Update(command::Update {
        user: ADA,
        file: file("/docs/a"),
        content,
        precondition: None,
        lock: None,
    }));
    old.must(Command::Lock(command::Lock {
        user: ADA,
        file: file("/docs/b"),
        ttl_ms: 60_000,
        mac_hash: Sha256([9; 32]),
    }));
    old.share("/docs", "bob");
    for path in ["/docs", "/docs/a", "/gone/d"] {
        let set = ["a", "b"].map(|name| Property { name: name.to_owned(), value: path.to_owned() }).to_vec();
        let (file, remove) = (file(path), Vec::new());
        let said = command::SetProperties { user: ADA, file, set, remove, precondition: None, lock: None };
        old.must(said.into());
    }
    for (path, keep) in [("/docs", 3), ("/gone", 7)] {
        let directory = file(path);
        let (versions_keep, versions_ms) = (Some(keep), Some(HOUR));
        old.must(command::SetRetention { user: ADA, directory, versions_keep, versions_ms, trash_ms: None }.into());
    }
    old.delete("/gone").expect("it goes to the trash");
    old.sound();
    old
}

pub(crate) fn new_cluster() -> Cluster {
    let mut new = Cluster::unused();
    new.server(11);
    new.server(12);
    new
}

#[test]
fn a_cluster_is_made_from_another_ones_rows() {
    let (old, mut new) = (old_cluster(), new_cluster());
    let (rows, contents) = rows_of(&old.store);
    let backup = Sha256([5; 32]);
    assert_eq!(
        refused(&mut new, restore(backup, rows.clone(), &old)),
        RejectionKind::InvalidRequest,
        "bytes come first"
    );
    for row in &contents {
        let wrong = NewContent { sha256: Sha256([7; 32]), ..stored(&mut new, &row.1) };
        assert_eq!(refused(&mut new, put(backup, row, wrong)), RejectionKind::InvalidRequest);
        let content = stored(&mut new, &row.1);
        for content in [content.clone(), content] {
            assert_eq!(new.must(put(backup, row, content)), Outcome::Progress { rows: 1, more: false });
        }
        let content = stored(&mut new, &row.1);
        let again = new.must(put(backup, row, content));
        assert_eq!(again, Outcome::Progress { rows: 0, more: false }, "other copies are not named");
    }
    new.sound();

    let signup = || Command::Signup(command::Signup { username: "eve".to_owned(), password_hash: "hash".to_owned() });
    assert_eq!(refused(&mut new, signup()), RejectionKind::Restoring);
    assert_eq!(refused(&mut new, seal(backup, &old)), RejectionKind::InvalidRequest);
    let other = restore(Sha256([6; 32]), Vec::new(), &old);
    assert_eq!(refused(&mut new, other), RejectionKind::AlreadyExists);
    new.must(restore(backup, rows.clone(), &old));
    new.must(restore(backup, rows, &old));
    new.must(seal(backup, &old));
    new.must(seal(backup, &old));
    new.sound();

    for path in ["/docs/a", "/docs/b", "/docs/deep/c"] {
        let stat = |cluster: &Cluster| {
            let stat = query::stat(&cluster.store, ADA, &file(path)).expect("no fault").expect("it is there");
            let content = stat.content.expect("a file");
            (stat.file_id, stat.path, content.version, content.sha256, content.replicas.len())
        };
        assert_eq!(stat(&new), stat(&old));
    }
    let stat = query::stat(&new.store, ADA, &file("/docs/b")).expect("no fault").expect("it is there");
    assert_eq!(stat.lock, None, "locks are dropped");
    let retention = |cluster: &Cluster| query::retention(&cluster.store, ADA, &file("/docs/a"));
    assert_eq!(retention(&new), retention(&old));
    assert_eq!(rows_in(&new.store, Table::Retention), 2);
    for path in ["/docs", "/docs/a", "/docs/b"] {
        let properties = |cluster: &Cluster| query::properties(&cluster.store, ADA, &file(path));
        assert_eq!(properties(&new), properties(&old));
    }
    assert_eq!(rows_in(&new.store, Table::Properties), 6);
    let docs = ringmaster::domain::terms::FileRef::Id(stat.file_id);
    query::stat(&new.store, BOB, &docs).expect("no fault").expect("the grant is there");

    // The trash was restored with the rest, and is reaped now.
    while query::trash_pending(&new.store, new.time(), ClusterTime(0)).expect("no fault") {
        new.must(Command::Reap(command::Reap { limit: 250, ..Default::default() }));
    }
    new.sound();
    let proof = LockProof { fence: ringmaster::domain::Fence(1), mac_hash: Sha256([9; 32]) };
    assert!(
        new.run(Command::Renew(command::Renew { user: ADA, lock: proof, ttl_ms: 60_000 })).is_err(),
        "the old lock is none"
    );
    let lock =
        Command::Lock(command::Lock { user: ADA, file: file("/docs/b"), ttl_ms: 60_000, mac_hash: Sha256([8; 32]) });
    let Outcome::Locked { fence, .. } = new.must(lock) else { panic!("a lock") };
    assert!(fence.0 > GAP);
    assert!(new.write("/new").file_id.0 > GAP);
    new.sound();
}

/// A counter that the backup has no row of was at its beginning then, and may have gone on since.
#[test]
fn fences_go_on_where_the_backup_has_no_lock() {
    let mut old = Cluster::new();
    old.write("/a");
    let mut new = new_cluster();
    let (rows, contents) = rows_of(&old.store);
    let backup = Sha256([5; 32]);
    for row in &contents {
        let content = stored(&mut new, &row.1);
        new.must(put(backup, row, content));
    }
    new.must(restore(backup, rows, &old));
    new.must(seal(backup, &old));
    let lock = Command::Lock(command::Lock { user: ADA, file: file("/a"), ttl_ms: 60_000, mac_hash: Sha256([8; 32]) });
    let Outcome::Locked { fence, .. } = new.must(lock) else { panic!("a lock") };
    assert!(fence.0 > GAP);
    new.sound();
}

#[test]
fn a_cluster_in_use_is_not_restored_into() {
    let mut used = Cluster::new();
    let backup = Sha256([5; 32]);
    let restore = |rows| Command::Restore(command::Restore { backup, rows, taken_at: ClusterTime(0) });
    assert_eq!(refused(&mut used, restore(Vec::new())), RejectionKind::AlreadyExists);
    let row = RestoredRow { table: Table::Users, key: vec![1], value: vec![255, 1] };
    let mut new = new_cluster();
    let damaged = restore(vec![row]);
    assert_eq!(refused(&mut new, damaged), RejectionKind::InvalidRequest, "never a fault");
    let row = RestoredRow { table: Table::Locks, key: vec![1], value: vec![1] };
    let foreign = restore(vec![row]);
    assert_eq!(refused(&mut new, foreign), RejectionKind::InvalidRequest);
    // What was refused has left no trace.
    new.signup("ada");
    new.sound();
}

//! Accounts that are disabled, and accounts that go, with everything that they had.

use ringmaster::domain::answer::{Access, Outcome, Stat};
use ringmaster::domain::terms::{FileRef, PasswordProof, PathRef, Policy};
use ringmaster::domain::{
    Command, FileId, FilePath, HoldId, Permission, ReadStore, RejectionKind, Sha256, Table, UserId, command, query,
};

use crate::cluster::{ADA, BOB, Cluster, at, file};

const EVE: UserId = UserId(3);
/// What one command may touch.
const MAX_ROWS: usize = 1100;

fn kind(cluster: &mut Cluster, command: impl Into<Command>) -> RejectionKind {
    cluster.run(command.into()).expect_err("it is refused").kind
}

fn of_bob(path: &str) -> FileRef {
    FileRef::Path(PathRef { owner: Some("bob".to_owned()), path: FilePath::parse(path).expect("a path") })
}

fn write(cluster: &mut Cluster, user: UserId, path: &str) -> Stat {
    let content = cluster.content();
    match cluster.must(command::Write { user, at: at(path), content }.into()) {
        Outcome::Stat(stat) => *stat,
        other => panic!("a write was answered {other:?}"),
    }
}

fn share(cluster: &mut Cluster, user: UserId, path: &str, with: &str, permission: Permission) {
    cluster.must(command::Share { user, file: file(path), with: with.to_owned(), permission }.into());
}

fn lock(cluster: &mut Cluster, user: UserId, id: FileId) {
    cluster.must(command::Lock { user, file: FileRef::Id(id), ttl_ms: 60_000, mac_hash: Sha256([4; 32]) }.into());
}

fn set(user: UserId, username: &str, disabled: Option<bool>, admin: Option<bool>) -> command::SetAccount {
    command::SetAccount { user, username: username.to_owned(), disabled, admin }
}

fn remove(heir: Option<&str>) -> command::RemoveAccount {
    command::RemoveAccount { user: ADA, username: "bob".to_owned(), heir: heir.map(str::to_owned) }
}

/// With eve, versions and the trash.
fn three() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.signup("eve");
    let policy = query::policy(&cluster.store).expect("no fault");
    cluster.must(command::SetPolicy(Policy { versions_keep: 5, trash_ms: 1_000_000, ..policy }).into());
    cluster
}

/// Goes on until the account is gone, a few rows at a time, and is sound on the way.
fn finish(cluster: &mut Cluster, limit: u32, mut between: impl FnMut(&mut Cluster, usize)) -> usize {
    for step in 0..10_000 {
        let Outcome::Progress { more, .. } = cluster.must(command::HandOver { limit }.into()) else {
            panic!("no progress")
        };
        assert!(cluster.touched <= MAX_ROWS, "{}", cluster.touched);
        cluster.sound();
        if !more {
            assert!(query::user_by_name(&cluster.store, "bob").expect("no fault").is_none());
            return step;
        }
        between(cluster, step);
        while let Outcome::Progress { more: true, .. } =
            cluster.must(command::Reap { limit: 1000, ..Default::default() }.into())
        {}
        cluster.sound();
    }
    panic!("it finds no end")
}

fn stat(cluster: &Cluster, user: UserId, file: &FileRef) -> Option<Stat> {
    query::stat(&cluster.store, user, file).expect("no fault").ok()
}

#[test]
fn who_is_disabled_does_nothing_and_has_everything_still() {
    let mut cluster = three();
    let id = write(&mut cluster, BOB, "/a").file_id;
    share(&mut cluster, BOB, "/a", "eve", Permission::Write);
    let begin = |password_hash: &str| command::BeginSession {
        user: BOB,
        token_hash: Sha256([1; 32]),
        password_hash: password_hash.to_owned(),
        from: String::new(),
        agent: String::new(),
    };
    cluster.must(begin("hash").into());
    for (user, username) in [(BOB, "eve"), (ADA, "ada")] {
        assert_eq!(kind(&mut cluster, set(user, username, Some(true), None)), RejectionKind::Forbidden);
    }
    assert_eq!(kind(&mut cluster, set(ADA, "nobody", Some(true), None)), RejectionKind::NotFound);
    cluster.must(set(ADA, "bob", Some(true), None).into());
    cluster.sound();
    let session =
        |cluster: &Cluster| query::session(&cluster.store, &Sha256([1; 32]), cluster.time()).expect("no fault");
    assert!(session(&cluster).is_none());
    let mkdir = command::Mkdir { user: BOB, at: at("/d") };
    for command in [begin("hash").into(), Command::from(mkdir)] {
        assert_eq!(kind(&mut cluster, command), RejectionKind::Unauthenticated, "what was under way, too");
    }
    assert!(stat(&cluster, BOB, &FileRef::Id(id)).is_none());
    // Others go on with what he shared, and an admin finds it.
    assert_eq!(stat(&cluster, EVE, &FileRef::Id(id)).map(|stat| stat.access), Some(Access::Write));
    lock(&mut cluster, EVE, id);
    cluster.must(command::BreakLock { user: ADA, file: of_bob("/a") }.into());
    lock(&mut cluster, EVE, id);
    cluster.must(command::BreakLock { user: ADA, file: FileRef::Id(id) }.into());

    cluster.must(set(ADA, "bob", Some(false), None).into());
    assert!(session(&cluster).is_none(), "what has ended stays ended");
    cluster.must(begin("hash").into());
    assert!(stat(&cluster, BOB, &file("/a")).is_some());
    // Another admin, who may be unmade by another one alone.
    cluster.must(set(ADA, "bob", None, Some(true)).into());
    assert_eq!(kind(&mut cluster, set(BOB, "bob", None, Some(false))), RejectionKind::Forbidden);
    cluster.must(set(BOB, "ada", None, Some(false)).into());
    assert_eq!(kind(&mut cluster, set(ADA, "bob", None, Some(false))), RejectionKind::Forbidden);
    cluster.sound();
}

#[test]
fn a_password_is_set_by_a_code_once_and_in_its_time() {
    let mut cluster = Cluster::new();
    let (code_hash, ttl_ms) = (Sha256([7; 32]), 60_000);
    let add = command::AddAccount { user: ADA, username: "eve".to_owned(), code_hash, ttl_ms };
    assert_eq!(kind(&mut cluster, command::AddAccount { user: BOB, ..add.clone() }), RejectionKind::Forbidden);
    assert_eq!(kind(&mut cluster, command::AddAccount { ttl_ms: 1, ..add.clone() }), RejectionKind::InvalidRequest);
    cluster.must(add.clone().into());
    assert_eq!(kind(&mut cluster, add), RejectionKind::AlreadyExists);
    let by = |mark: u8, user| {
        let (password_hash, proof) = ("new".to_owned(), PasswordProof::Code(Sha256([mark; 32])));
        command::SetPassword { user, password_hash, proof, keep: None }
    };
    assert_eq!(kind(&mut cluster, by(8, EVE)), RejectionKind::Forbidden);
    assert_eq!(kind(&mut cluster, by(7, BOB)), RejectionKind::Forbidden, "it is eve's");
    cluster.must(by(7, EVE).into());
    assert_eq!(kind(&mut cluster, by(7, EVE)), RejectionKind::Forbidden, "it is used up");

    let reset = command::ResetPassword { user: ADA, username: "eve".to_owned(), code_hash, ttl_ms };
    cluster.must(reset.clone().into());
    let known = PasswordProof::Known("new".to_owned());
    let old = command::SetPassword { user: EVE, password_hash: "x".to_owned(), proof: known, keep: None };
    assert_eq!(kind(&mut cluster, old), RejectionKind::Forbidden, "the old one is void");
    cluster.now += ttl_ms;
    assert_eq!(kind(&mut cluster, by(7, EVE)), RejectionKind::Forbidden, "its time is over");
    cluster.must(reset.into());
    cluster.must(by(7, EVE).into());
    cluster.sound();
}

/// All that bob can have: a tree with versions, locks, grants of his and to him, values of his own, the trash, an upload.
fn rich() -> (Cluster, FileId) {
    let mut cluster = three();
    for number in 0..40 {
        write(&mut cluster, BOB, &format!("/d{}/e/{number}", number % 3));
    }
    let id = write(&mut cluster, BOB, "/d0/shared").file_id;
    for _ in 0..3 {
        let content = cluster.content();
        let update = command::Update { user: BOB, file: FileRef::Id(id), content, precondition: None, lock: None };
        cluster.must(update.into());
    }
    share(&mut cluster, BOB, "/d0", "ada", Permission::Write);
    share(&mut cluster, BOB, "/d0/shared", "eve", Permission::Read);
    lock(&mut cluster, ADA, id);
    let own = write(&mut cluster, BOB, "/d1/own").file_id;
    lock(&mut cluster, BOB, own);
    cluster.must(
        command::SetRetention {
            user: BOB,
            directory: file("/d1"),
            versions_keep: Some(1),
            versions_ms: None,
            trash_ms: None,
        }
        .into(),
    );
    let theirs = write(&mut cluster, EVE, "/theirs").file_id;
    share(&mut cluster, EVE, "/theirs", "bob", Permission::Write);
    lock(&mut cluster, BOB, theirs);
    write(&mut cluster, BOB, "/gone");
    let delete = command::Delete {
        user: BOB,
        file: file("/gone"),
        recursive: false,
        precondition: None,
        lock: None,
        permanently: false,
        break_locks: false,
    };
    cluster.must(delete.into());
    cluster.must(
        command::BeginUpload {
            user: BOB,
            upload_id: ringmaster::domain::ContentId(99),
            content_type: String::new(),
            length: None,
            idle_ms: 60_000,
            hash: vec![0; 105],
            purpose: ringmaster::domain::terms::Purpose::Write(at("/sent")),
        }
        .into(),
    );
    cluster.must(set(ADA, "bob", None, Some(true)).into());
    cluster.must(command::MakeInvite { user: BOB, hash: Sha256([5; 32]), ttl_ms: 60_000 }.into());
    cluster.sound();
    (cluster, id)
}

#[test]
fn an_heir_gets_everything_as_it_was() {
    for limit in [1, 7, 800] {
        let (mut cluster, id) = rich();
        // A name that is taken gets a number.
        write(&mut cluster, EVE, "/bob");
        cluster.must(remove(Some("eve")).into());
        assert!(cluster.touched <= 40, "{}", cluster.touched);
        cluster.sound();
        // It is hers at once.
        let steps = finish(&mut cluster, limit, |cluster, step| {
            let seen = stat(cluster, EVE, &FileRef::Id(id)).expect("it is hers");
            assert_eq!((seen.access, seen.path.to_string().as_str()), (Access::Owner, "/bob-2/d0/shared"));
            assert_eq!(kind(cluster, remove(Some("eve"))), RejectionKind::NotFound);
            if step == 2 {
                write(cluster, EVE, "/bob-2/d2/new/deep");
                let content = cluster.content();
                let update =
                    command::Update { user: EVE, file: FileRef::Id(id), content, precondition: None, lock: None };
                assert_eq!(kind(cluster, update), RejectionKind::Locked, "ada's lock stands");
            }
        });
        assert!(limit > 7 || steps > 5, "{steps}");
        let seen = stat(&cluster, EVE, &FileRef::Id(id)).expect("it is hers");
        assert_eq!((seen.owner_id, seen.content.as_ref().map(|content| content.version.0)), (EVE, Some(4)));
        assert_eq!(seen.lock.map(|lock| lock.owner), Some("ada".to_owned()));
        let access = stat(&cluster, ADA, &FileRef::Id(id)).map(|stat| stat.access);
        assert_eq!(access, Some(Access::Write), "what was shared stays shared");
        let versions =
            query::versions(&cluster.store, EVE, &FileRef::Id(id), None, 10).expect("no fault").expect("hers");
        assert_eq!(versions.versions.len(), 4);
        let usage = query::usage(&cluster.store, EVE).expect("no fault");
        let more = if steps > 2 { 1 } else { 0 };
        assert_eq!((usage.files, usage.bytes), (44 + more, 470 + 10 * more), "{usage:?}");
        // Of him nothing is left.
        for table in [Table::Removals, Table::Uploads, Table::Trash, Table::Invites] {
            assert_eq!(cluster.store.scan(table, &[], None, 1).expect("no fault"), [], "{table:?}");
        }
        // Whose it is was checked with the rest.
        assert_eq!(cluster.store.scan(Table::Retention, &[], None, 10).expect("no fault").len(), 1);
        assert_eq!(cluster.store.scan(Table::LocksByOwner, &[], None, 10).expect("no fault").len(), 1, "ada's");
        let theirs = stat(&cluster, EVE, &file("/theirs")).expect("hers");
        assert_eq!(theirs.lock, None, "his lock on another's file went with him");
        // The name is free, and who takes it is nobody's heir.
        cluster.signup("bob");
        assert!(stat(&cluster, UserId(4), &FileRef::Id(id)).is_none());
        // What could not be moved meanwhile can be.
        let delete = command::Delete {
            user: EVE,
            file: file("/bob-2"),
            recursive: true,
            precondition: None,
            lock: None,
            permanently: true,
            break_locks: true,
        };
        cluster.must(delete.into());
        while let Outcome::Progress { more: true, .. } =
            cluster.must(command::Reap { limit: 1000, ..Default::default() }.into())
        {}
        cluster.sound();
        let usage = query::usage(&cluster.store, EVE).expect("no fault");
        assert_eq!((usage.files, usage.bytes), (2, 20), "{usage:?}");
    }
}

#[test]
fn nothing_is_moved_or_removed_that_the_walk_would_miss() {
    let (mut cluster, id) = rich();
    cluster.must(remove(Some("eve")).into());
    let moved = |user, from: FileRef, to: PathRef| command::Move { user, from, to, lock: None, break_locks: true };
    let into = |path: &str| PathRef { owner: Some("eve".to_owned()), path: FilePath::parse(path).expect("a path") };
    for from in ["/bob", "/bob/d0", "/bob/d0/e/0"] {
        assert_eq!(kind(&mut cluster, moved(EVE, file(from), at("/elsewhere"))), RejectionKind::Locked, "{from}");
        let delete = command::Delete {
            user: EVE,
            file: file(from),
            recursive: true,
            precondition: None,
            lock: None,
            permanently: true,
            break_locks: true,
        };
        assert_eq!(kind(&mut cluster, delete), RejectionKind::Locked, "{from}");
    }
    let by_ada = moved(ADA, FileRef::Id(id), into("/bob/d0/moved"));
    assert_eq!(kind(&mut cluster, command::Move { break_locks: false, ..by_ada }), RejectionKind::Locked);
    // By the old name nothing is reached, nor made.
    let at_bob = PathRef { owner: Some("bob".to_owned()), path: FilePath::parse("/new").expect("a path") };
    assert_eq!(kind(&mut cluster, command::Mkdir { user: ADA, at: at_bob }), RejectionKind::NotFound);
    assert!(stat(&cluster, ADA, &of_bob("/d0/shared")).is_none());
    let share =
        command::Share { user: EVE, file: file("/theirs"), with: "bob".to_owned(), permission: Permission::Read };
    assert_eq!(kind(&mut cluster, share), RejectionKind::NotFound);
    // The heir stays until it is done, and no backup is taken of halves.
    let heir = command::RemoveAccount { user: ADA, username: "eve".to_owned(), heir: None };
    assert_eq!(kind(&mut cluster, heir), RejectionKind::TooManyRequests);
    let hold = command::Hold { hold_id: HoldId(1), ttl_ms: 60_000, renew: false };
    assert_eq!(kind(&mut cluster, hold.clone()), RejectionKind::TooManyRequests);
    finish(&mut cluster, 100, |_, _| {});
    cluster.must(hold.into());
    cluster.must(moved(EVE, file("/bob"), at("/elsewhere")).into());
    let eve = command::RemoveAccount { user: ADA, username: "eve".to_owned(), heir: None };
    assert_eq!(kind(&mut cluster, eve), RejectionKind::TooManyRequests, "while a backup is taken");
    cluster.sound();
}

#[test]
fn without_an_heir_it_is_in_the_trash_of_the_admin() {
    for (trash_ms, limit) in [(1_000_000, 3), (1_000_000, 800), (0, 3)] {
        let (mut cluster, id) = rich();
        let policy = query::policy(&cluster.store).expect("no fault");
        cluster.must(command::SetPolicy(Policy { trash_ms, ..policy }).into());
        let before = query::usage(&cluster.store, ADA).expect("no fault").files;
        cluster.must(remove(None).into());
        cluster.sound();
        assert!(stat(&cluster, ADA, &FileRef::Id(id)).is_none());
        finish(&mut cluster, limit, |_, _| {});
        let trash = query::trash(&cluster.store, ADA, None, 10).expect("no fault").expect("ada's");
        if trash_ms == 0 {
            assert!(trash.entries.is_empty());
            while let Outcome::Progress { more: true, .. } =
                cluster.must(command::Reap { limit: 1000, ..Default::default() }.into())
            {}
            assert_eq!(query::usage(&cluster.store, ADA).expect("no fault").files, before);
            cluster.sound();
            continue;
        }
        assert_eq!(trash.entries.len(), 1);
        let root = trash.entries[0].file_id;
        cluster.must(command::RestoreTrashed { user: ADA, file_id: root, to: None }.into());
        let seen = stat(&cluster, ADA, &FileRef::Id(id)).expect("it is back");
        assert_eq!((seen.access, seen.path.to_string().as_str()), (Access::Owner, "/bob/d0/shared"));
        cluster.sound();
    }
}

/// Its time comes while it is handed over.
#[test]
fn what_leaves_the_trash_meanwhile_is_counted_right() {
    let (mut cluster, _) = rich();
    cluster.must(remove(None).into());
    let mut emptied = false;
    finish(&mut cluster, 2, |cluster, step| {
        if step == 4 {
            cluster.must(command::EmptyTrash { user: ADA, file_id: None }.into());
            emptied = true;
        }
    });
    assert!(emptied);
    while let Outcome::Progress { more: true, .. } =
        cluster.must(command::Reap { limit: 1000, ..Default::default() }.into())
    {}
    assert_eq!(query::usage(&cluster.store, ADA).expect("no fault").files, 0);
    cluster.sound();
}

#[test]
fn a_large_account_goes_in_steps_and_a_deep_one_where_there_is_room() {
    let mut cluster = three();
    for number in 0..900 {
        write(&mut cluster, BOB, &format!("/{}/{number}", number % 7));
    }
    cluster.must(remove(Some("eve")).into());
    assert!(finish(&mut cluster, u32::MAX, |_, _| {}) > 3);
    cluster.signup("bob");
    let bob = UserId(4);
    let deep: String = (0..128).map(|_| "/x").collect();
    cluster.must(command::Mkdir { user: bob, at: at(&deep) }.into());
    assert_eq!(kind(&mut cluster, remove(Some("eve"))), RejectionKind::InvalidPath);
    cluster.sound();
    assert!(query::user_by_name(&cluster.store, "bob").expect("no fault").is_some_and(|bob| !bob.disabled));
    cluster.must(remove(None).into());
    finish(&mut cluster, 800, |_, _| {});
}

#[test]
fn a_backup_has_who_is_disabled_and_neither_codes_nor_invitations() {
    let (mut old, mut new) = (Cluster::new(), crate::backup::new_cluster());
    old.must(set(ADA, "bob", Some(true), Some(true)).into());
    let (code_hash, ttl_ms) = (Sha256([7; 32]), 60_000);
    old.must(command::AddAccount { user: ADA, username: "eve".to_owned(), code_hash, ttl_ms }.into());
    old.must(command::MakeInvite { user: ADA, hash: Sha256([8; 32]), ttl_ms }.into());
    let (rows, contents) = crate::backup::rows_of(&old.store);
    assert!(contents.is_empty());
    let backup = Sha256([5; 32]);
    new.must(crate::backup::restore(backup, rows, &old));
    new.must(crate::backup::seal(backup, &old));
    new.sound();
    let user = |name: &str| query::user_by_name(&new.store, name).expect("no fault").expect("it was taken over");
    assert!(user("bob").disabled && user("bob").admin && !user("eve").disabled);
    assert_eq!(user("eve").code, None);
    for table in [Table::Invites, Table::Sessions, Table::Tokens, Table::Removals] {
        assert_eq!(new.store.scan(table, &[], None, 1).expect("no fault"), [], "{table:?}");
    }
}

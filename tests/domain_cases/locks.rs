//! Locks that outlive the right to them, that a detour would pass by, and tokens that nobody would look at.

use ringmaster::domain::terms::{FileRef, LockProof, PathRef};
use ringmaster::domain::{Command, Fence, FileId, Outcome, Permission, RejectionKind, Sha256, UserId, command, query};

use crate::cluster::{ADA, BOB, Cluster, at, file};

const MAC: Sha256 = Sha256([4; 32]);

fn kind(cluster: &mut Cluster, command: impl Into<Command>) -> RejectionKind {
    cluster.run(command.into()).expect_err("it is refused").kind
}

fn share(cluster: &mut Cluster, path: &str, permission: Permission) {
    let share = command::Share { user: ADA, file: file(path), with: "bob".to_owned(), permission };
    cluster.must(share.into());
}

fn lock(cluster: &mut Cluster, user: UserId, id: FileId) -> LockProof {
    let lock = command::Lock { user, file: FileRef::Id(id), ttl_ms: 60_000, mac_hash: MAC };
    match cluster.must(lock.into()) {
        Outcome::Locked { fence, .. } => LockProof { fence, mac_hash: MAC },
        other => panic!("a lock was answered {other:?}"),
    }
}

fn update(cluster: &mut Cluster, user: UserId, id: FileId, lock: Option<LockProof>) -> Result<(), RejectionKind> {
    let content = cluster.content();
    let update = command::Update { user, file: FileRef::Id(id), content, precondition: None, lock };
    cluster.run(update.into()).map(drop).map_err(|no| no.kind)
}

fn shown(cluster: &Cluster, path: &str) -> Option<Fence> {
    let stat = query::stat(&cluster.store, ADA, &file(path)).expect("no fault").expect("it is there");
    stat.lock.map(|lock| lock.fence)
}

#[test]
fn a_token_that_is_sent_has_to_be_that_of_a_lock_that_stands() {
    let mut cluster = Cluster::new();
    let id = cluster.write("/a").file_id;
    let never = LockProof { fence: Fence(1), mac_hash: MAC };
    assert_eq!(update(&mut cluster, ADA, id, Some(never)), Err(RejectionKind::Locked));
    let token = lock(&mut cluster, ADA, id);
    update(&mut cluster, ADA, id, Some(token)).expect("it is the lock's");
    // It ends, and somebody updates without one.
    cluster.now += 60_000;
    cluster.must(command::Expire { limit: 10 }.into());
    update(&mut cluster, ADA, id, None).expect("nothing is locked");
    let late = [
        command::Move { user: ADA, from: file("/a"), to: at("/b"), lock: Some(token), break_locks: false }.into(),
        delete("/a", false, Some(token)).into(),
        command::RestoreVersion {
            user: ADA,
            file: file("/a"),
            version: ringmaster::domain::Version(1),
            precondition: None,
            lock: Some(token),
        }
        .into(),
    ];
    assert_eq!(update(&mut cluster, ADA, id, Some(token)), Err(RejectionKind::Locked));
    for command in late {
        let command: Command = command;
        assert_eq!(kind(&mut cluster, command), RejectionKind::Locked);
    }
    let asked = query::access(&cluster.store, ADA, id, query::AccessMode::Write, Some(&token)).expect("no fault");
    assert!(!asked.allowed, "services are told the same");
    cluster.sound();
}

fn delete(path: &str, break_locks: bool, lock: Option<LockProof>) -> command::Delete {
    let (precondition, permanently) = (None, false);
    command::Delete { user: ADA, file: file(path), recursive: true, precondition, lock, permanently, break_locks }
}

#[test]
fn a_lock_goes_with_the_right_to_write_and_does_not_come_back() {
    type Loss = fn(&mut Cluster);
    let losses: [Loss; 3] = [
        |cluster| {
            let unshare = command::Unshare { user: ADA, file: file("/d"), with: "bob".to_owned() };
            cluster.must(unshare.into());
        },
        |cluster| share(cluster, "/d", Permission::Read),
        |cluster| drop(cluster.relocate("/d/a", "/elsewhere").expect_err("it is locked")),
    ];
    for (position, lose) in losses.into_iter().enumerate() {
        let mut cluster = Cluster::new();
        let id = cluster.write("/d/a").file_id;
        share(&mut cluster, "/d", Permission::Write);
        let token = lock(&mut cluster, BOB, id);
        assert_eq!(update(&mut cluster, ADA, id, None), Err(RejectionKind::Locked));
        lose(&mut cluster);
        if position == 2 {
            assert_eq!(shown(&cluster, "/d/a"), Some(token.fence), "the right is there, and so is the lock");
            continue;
        }
        assert_eq!(shown(&cluster, "/d/a"), None);
        assert!(query::locks(&cluster.store, BOB, None, 10).expect("no fault").expect("bob").locks.is_empty());
        update(&mut cluster, ADA, id, None).expect("it is locked no more");
        share(&mut cluster, "/d", Permission::Write);
        assert_eq!(update(&mut cluster, BOB, id, Some(token)), Err(RejectionKind::Locked), "it does not come back");
        let mine = lock(&mut cluster, ADA, id);
        assert!(mine.fence > token.fence);
        cluster.sound();
    }
}

#[test]
fn a_directory_stays_while_others_hold_locks_below_it() {
    let mut cluster = Cluster::new();
    let id = cluster.write("/d/e/a").file_id;
    cluster.write("/d/b");
    cluster.write("/other/c");
    share(&mut cluster, "/d/e", Permission::Write);
    let token = lock(&mut cluster, BOB, id);
    let refusal = cluster.delete("/d").expect_err("bob works there");
    assert!(refusal.kind == RejectionKind::Locked && refusal.detail.contains("e/a"), "{refusal:?}");
    assert_eq!(cluster.relocate("/d", "/f").expect_err("bob works there").kind, RejectionKind::Locked);
    cluster.delete("/other").expect("nobody works there");
    cluster.sound();
    // Who may write there, and is not the owner, cannot break a lock.
    share(&mut cluster, "/", Permission::Write);
    let spot = PathRef { owner: Some("ada".to_owned()), ..at("/f") };
    let from = FileRef::Path(PathRef { owner: Some("ada".to_owned()), ..at("/d") });
    let theirs = command::Move { user: BOB, from, to: spot, lock: None, break_locks: true };
    assert_eq!(kind(&mut cluster, theirs), RejectionKind::Forbidden);
    let moved = command::Move { user: ADA, from: file("/d"), to: at("/f"), lock: None, break_locks: true };
    cluster.must(moved.into());
    assert_eq!(shown(&cluster, "/f/e/a"), Some(token.fence), "a lock goes along with its file");
    cluster.must(delete("/f", true, None).into());
    assert_eq!(update(&mut cluster, BOB, id, Some(token)), Err(RejectionKind::NotFound));
    cluster.sound();
}

#[test]
fn an_owner_and_an_admin_can_break_a_lock() {
    let mut cluster = Cluster::new();
    cluster.signup("cyd");
    let cyd = UserId(3);
    let id = cluster.write("/a").file_id;
    share(&mut cluster, "/a", Permission::Write);
    let token = lock(&mut cluster, BOB, id);
    let broken = |user, file| command::BreakLock { user, file };
    assert_eq!(kind(&mut cluster, broken(BOB, FileRef::Id(id))), RejectionKind::Forbidden);
    assert_eq!(kind(&mut cluster, broken(cyd, FileRef::Id(id))), RejectionKind::NotFound);
    cluster.must(broken(ADA, file("/a")).into());
    assert_eq!(kind(&mut cluster, broken(ADA, file("/a"))), RejectionKind::NotFound, "there is none any more");
    assert_eq!(update(&mut cluster, BOB, id, Some(token)), Err(RejectionKind::Locked));
    // Ada is the admin; bob's tree is none of hers, and she breaks a lock there all the same.
    let content = cluster.content();
    let write = command::Write { user: BOB, at: at("/mine"), content };
    let Outcome::Stat(stat) = cluster.must(write.into()) else { panic!("a file") };
    lock(&mut cluster, BOB, stat.file_id);
    let theirs = FileRef::Path(PathRef { owner: Some("bob".to_owned()), ..at("/mine") });
    cluster.must(broken(ADA, theirs).into());
    cluster.sound();
}

//! How much there is of whom, as it is asked before anything is moved.

use ringmaster::domain::terms::{FileRef, Policy};
use ringmaster::domain::{FileId, RejectionKind, UserId, command, query};

use crate::cluster::{ADA, BOB, Cluster, at, file};

/// What the look ahead says of a new file, and what the commit says of the same: the size of a content is 10.
fn write_of_ten(cluster: &mut Cluster, path: &str) -> (Result<u64, RejectionKind>, Result<(), RejectionKind>) {
    let ahead = query::precheck_write(&cluster.store, ADA, &at(path), 10).expect("no fault").map_err(|no| no.kind);
    let content = cluster.content();
    let done = cluster.run(command::Write { user: ADA, at: at(path), content }.into());
    (ahead, done.map(drop).map_err(|no| no.kind))
}

fn update_of_ten(cluster: &mut Cluster, path: &str) -> (Result<u64, RejectionKind>, Result<(), RejectionKind>) {
    let ahead = query::precheck_update(&cluster.store, ADA, &file(path), None, None, 10);
    let content = cluster.content();
    let done =
        cluster.run(command::Update { user: ADA, file: file(path), content, precondition: None, lock: None }.into());
    (ahead.expect("no fault").map_err(|no| no.kind), done.map(drop).map_err(|no| no.kind))
}

#[test]
fn what_is_looked_at_before_is_what_is_committed() {
    let over = Err(RejectionKind::QuotaExceeded);
    for keep in [0, 5] {
        let mut cluster = Cluster::new();
        cluster.must(command::SetPolicy(Policy { versions_keep: keep, quota_files: 3, ..Policy::default() }).into());
        let bound = |bytes| command::SetQuota { user: ADA, max_bytes: Some(bytes), max_files: None };
        assert_eq!(write_of_ten(&mut cluster, "/a"), (Ok(u64::MAX), Ok(())), "no bound of bytes");
        cluster.must(bound(29).into());
        assert_eq!(write_of_ten(&mut cluster, "/b"), (Ok(19), Ok(())));
        assert_eq!(write_of_ten(&mut cluster, "/c"), (over.map(|()| 0), over), "one byte too many");
        // Where no version is kept, what is there makes room for what comes.
        let (ahead, done) = update_of_ten(&mut cluster, "/a");
        let expected = if keep == 0 { (Ok(19), Ok(())) } else { (over.map(|()| 0), over) };
        assert_eq!((ahead, done), expected, "{keep} versions kept");
        cluster.must(bound(30).into());
        assert_eq!(write_of_ten(&mut cluster, "/c"), (Ok(10), Ok(())));
        cluster.must(bound(0).into());
        assert_eq!(write_of_ten(&mut cluster, "/d"), (over.map(|()| 0), over), "one file too many");
        assert_eq!(update_of_ten(&mut cluster, "/a"), (Ok(u64::MAX), Ok(())));
        // A bound below what there is: nothing comes in, also not what brings no byte.
        cluster.must(bound(1).into());
        let ahead = query::precheck_write(&cluster.store, ADA, &at("/e"), 0).expect("no fault");
        assert_eq!(ahead.map_err(|no| no.kind), over.map(|()| 0), "one file too many");
        let ahead = query::precheck_update(&cluster.store, ADA, &file("/a"), None, None, 0).expect("no fault");
        assert_eq!(ahead, Ok(0), "an empty version is no byte more");
        cluster.sound();
    }
}

#[test]
fn in_another_tree_it_is_its_owner_who_has_the_room() {
    let mut cluster = Cluster::new();
    cluster.write("/a");
    cluster.must(command::SetQuota { user: ADA, max_bytes: Some(12), max_files: None }.into());
    let share = command::Share {
        user: ADA,
        file: file("/a"),
        with: "bob".to_owned(),
        permission: ringmaster::domain::Permission::Write,
    };
    cluster.must(share.into());
    let id = FileRef::Id(FileId(4));
    let ask = |bytes| query::precheck_update(&cluster.store, BOB, &id, None, None, bytes).expect("no fault");
    assert_eq!(ask(12), Ok(12), "no version is kept here");
    assert_eq!(ask(13).map_err(|no| no.kind), Err(RejectionKind::QuotaExceeded));
    assert_eq!(query::precheck_write(&cluster.store, BOB, &at("/mine"), 99).expect("no fault"), Ok(u64::MAX));
}

#[test]
fn accounts_are_listed_page_by_page() {
    let mut cluster = Cluster::new();
    for number in 0..5 {
        cluster.signup(&format!("user{number}"));
    }
    cluster.write("/a");
    cluster.must(command::SetQuota { user: ADA, max_bytes: None, max_files: Some(0) }.into());
    let policy = Policy { versions_keep: 0, trash_ms: 0, quota_files: 7, ..Policy::default() };
    cluster.must(command::SetPolicy(policy).into());
    for limit in [1, 2, 3, 7, 100] {
        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let page = query::users(&cluster.store, cursor.as_deref(), limit).expect("no fault").expect("a page");
            assert!(page.users.len() <= limit);
            names.extend(page.users.into_iter().map(|user| user.username));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, ["ada", "bob", "user0", "user1", "user2", "user3", "user4"], "{limit} a page");
    }
    let ada = query::user_stat(&cluster.store, "ada").expect("no fault").expect("an account");
    assert_eq!((ada.user_id, ada.usage.bytes, ada.usage.files), (UserId(1), 10, 1));
    assert_eq!((ada.usage.max_files, ada.max_files, ada.max_bytes), (0, Some(0), None), "her own bound goes first");
    let bob = query::user_stat(&cluster.store, "bob").expect("no fault").expect("an account");
    assert_eq!((bob.usage.max_files, bob.max_files), (7, None), "the policy's");
    assert_eq!(query::user_stat(&cluster.store, "nobody").expect("no fault"), None);
    let other = query::trash(&cluster.store, ADA, None, 1).expect("no fault").expect("a page");
    assert_eq!(other.next, None);
    let wrong = query::users(&cluster.store, Some("nonsense"), 1).expect("no fault");
    assert_eq!(wrong.map_err(|no| no.kind), Err(RejectionKind::InvalidRequest));
}

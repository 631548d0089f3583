//! Who may make an account.

use ringmaster::domain::answer::Outcome;
use ringmaster::domain::terms::{Admission, FileRef, PasswordProof, PathRef, Policy, SignupMode};
use ringmaster::domain::{FilePath, Permission, ReadStore, RejectionKind, Sha256, Table, UserId, command, query};

use crate::cluster::{ADA, BOB, Cluster, file};

fn enroll(cluster: &mut Cluster, name: &str, by: Admission) -> Result<UserId, RejectionKind> {
    let enroll = command::Enroll { username: name.to_owned(), password_hash: "hash".to_owned(), by };
    match cluster.run(enroll.into()) {
        Ok(Outcome::User { user_id, .. }) => Ok(user_id),
        Ok(other) => panic!("a signup was answered {other:?}"),
        Err(no) => Err(no.kind),
    }
}

fn mode(cluster: &mut Cluster, mode: SignupMode) {
    let policy = query::policy(&cluster.store).expect("no fault");
    cluster.must(command::SetPolicy(Policy { signup_mode: Some(mode), ..policy }).into());
}

fn invite(cluster: &mut Cluster, user: UserId, mark: u8, ttl_ms: u64) -> Result<(), RejectionKind> {
    let make = command::MakeInvite { user, hash: Sha256([mark; 32]), ttl_ms };
    cluster.run(make.into()).map(drop).map_err(|no| no.kind)
}

#[test]
fn the_setup_code_makes_the_first_account_whatever_the_policy_says() {
    for first in [SignupMode::Open, SignupMode::Invite, SignupMode::Closed] {
        let mut cluster = Cluster::unused();
        mode(&mut cluster, first);
        for by in [Admission::Open, Admission::Invite(Sha256([1; 32]))] {
            assert_eq!(enroll(&mut cluster, "eve", by), Err(RejectionKind::Forbidden));
        }
        assert_eq!(enroll(&mut cluster, "ada", Admission::Setup), Ok(ADA));
        assert_eq!(enroll(&mut cluster, "bob", Admission::Setup), Err(RejectionKind::Forbidden));
        let may = enroll(&mut cluster, "bob", Admission::Open);
        assert_eq!(may.is_ok(), first == SignupMode::Open, "{may:?}");
        cluster.sound();
    }
}

#[test]
fn an_invitation_makes_one_account_in_its_time() {
    let mut cluster = Cluster::new();
    mode(&mut cluster, SignupMode::Invite);
    assert_eq!(invite(&mut cluster, BOB, 1, 60_000), Err(RejectionKind::Forbidden), "bob is no admin");
    for ttl_ms in [0, 59_999, u64::MAX] {
        assert_eq!(invite(&mut cluster, ADA, 1, ttl_ms), Err(RejectionKind::InvalidRequest));
    }
    for mark in 0..2 {
        invite(&mut cluster, ADA, mark, 60_000).expect("ada is an admin");
    }
    assert_eq!(invite(&mut cluster, ADA, 1, 60_000), Err(RejectionKind::AlreadyExists));
    assert_eq!(enroll(&mut cluster, "bob", Admission::Invite(Sha256([1; 32]))), Err(RejectionKind::AlreadyExists));
    enroll(&mut cluster, "eve", Admission::Invite(Sha256([1; 32]))).expect("a name that was taken used nothing up");
    assert_eq!(enroll(&mut cluster, "eva", Admission::Invite(Sha256([1; 32]))), Err(RejectionKind::Forbidden));
    cluster.sound();

    // Its time decides, whether or not it was ended yet.
    cluster.now += 60_000;
    assert_eq!(enroll(&mut cluster, "eva", Admission::Invite(Sha256([0; 32]))), Err(RejectionKind::Forbidden));
    cluster.must(command::Expire { limit: 10 }.into());
    assert_eq!(cluster.store.scan(Table::Invites, &[], None, 1).expect("no fault"), []);
    cluster.sound();
}

#[test]
fn no_more_invitations_stand_than_are_listed_and_they_can_be_taken_back() {
    let mut cluster = Cluster::new();
    for mark in 0..=255 {
        invite(&mut cluster, ADA, mark, 60_000).expect("there is room");
    }
    let one_more = command::MakeInvite { user: ADA, hash: Sha256([7; 32]), ttl_ms: 60_000 };
    assert_eq!(cluster.run(one_more.into()).expect_err("it is there").kind, RejectionKind::AlreadyExists);
    let mut hash = [7; 32];
    hash[0] = 8;
    let one_more = command::MakeInvite { user: ADA, hash: Sha256(hash), ttl_ms: 60_000 };
    assert_eq!(
        cluster.run(one_more.clone().into()).expect_err("all places are taken").kind,
        RejectionKind::TooManyRequests
    );
    assert_eq!(query::invites(&cluster.store).expect("no fault").len(), 256);
    let revoke = command::RevokeInvite { user: ADA, hash: Sha256([7; 32]) };
    cluster.must(revoke.clone().into());
    assert_eq!(cluster.run(revoke.into()).expect_err("it is gone").kind, RejectionKind::NotFound);
    cluster.must(one_more.into());
    cluster.sound();
}

#[test]
fn a_lost_admin_is_replaced_by_an_account_that_is_there() {
    let mut cluster = Cluster::new();
    let reset = |name: &str| command::ResetAdmin { username: name.to_owned(), password_hash: "new".to_owned() };
    assert_eq!(cluster.run(reset("eve").into()).expect_err("nobody").kind, RejectionKind::NotFound);
    cluster.must(reset("bob").into());
    let bob = query::user_by_name(&cluster.store, "bob").expect("no fault").expect("he is there");
    assert_eq!((bob.user_id, bob.admin, bob.password_hash.as_str()), (BOB, true, "new"));
    invite(&mut cluster, BOB, 1, 60_000).expect("bob is an admin");
    cluster.sound();
}

fn begin(cluster: &mut Cluster, user: UserId, token: u8, password_hash: &str) -> Result<(), RejectionKind> {
    let (from, agent) = ("10.0.0.1".to_owned(), "test".to_owned());
    let password_hash = password_hash.to_owned();
    let begin = command::BeginSession { user, token_hash: Sha256([token; 32]), password_hash, from, agent };
    cluster.run(begin.into()).map(drop).map_err(|no| no.kind)
}

fn is_open(cluster: &Cluster, token: u8) -> bool {
    query::session(&cluster.store, &Sha256([token; 32]), cluster.time()).expect("no fault").is_some()
}

#[test]
fn a_new_password_ends_the_other_sessions_and_logins_by_the_old_one() {
    let mut cluster = Cluster::new();
    for token in 1..4 {
        begin(&mut cluster, ADA, token, "hash").expect("it is her password");
    }
    begin(&mut cluster, BOB, 4, "hash").expect("it is his password");
    let keep = Some(Sha256([2; 32]));
    let set = |was: &str| {
        let proof = PasswordProof::Known(was.to_owned());
        command::SetPassword { user: ADA, password_hash: "new".to_owned(), proof, keep }
    };
    assert_eq!(cluster.run(set("other").into()).expect_err("it is wrong").kind, RejectionKind::Forbidden);
    assert!((1..5).all(|token| is_open(&cluster, token)), "what was refused changed nothing");
    cluster.must(set("hash").into());
    assert_eq!((1..5).map(|token| is_open(&cluster, token)).collect::<Vec<_>>(), [false, true, false, true]);
    // The comparison with the old one was under way.
    assert_eq!(begin(&mut cluster, ADA, 5, "hash"), Err(RejectionKind::Unauthenticated));
    begin(&mut cluster, ADA, 5, "new").expect("it is her password");
    let code = PasswordProof::Code(Sha256([1; 32]));
    let by_code = command::SetPassword { user: ADA, password_hash: "theirs".to_owned(), proof: code, keep: None };
    assert_eq!(cluster.run(by_code.into()).expect_err("there is no code").kind, RejectionKind::Forbidden);
    cluster.must(command::EndSessions { user: ADA, keep: None }.into());
    assert!(!is_open(&cluster, 2) && !is_open(&cluster, 5) && is_open(&cluster, 4));
    cluster.sound();
}

#[test]
fn of_many_sessions_the_one_that_was_idle_for_longest_gives_way() {
    let mut cluster = Cluster::new();
    for token in 0..64 {
        cluster.now += 1000;
        begin(&mut cluster, ADA, token, "hash").expect("it is her password");
    }
    begin(&mut cluster, BOB, 100, "hash").expect("it is his password");
    // The oldest one is in use.
    cluster.now += 1000;
    cluster.must(command::TouchSession { token_hash: Sha256([0; 32]) }.into());
    for token in 64..67 {
        cluster.now += 1000;
        begin(&mut cluster, ADA, token, "hash").expect("there is room again");
        assert!(cluster.touched < 10, "{}", cluster.touched);
    }
    let ended: Vec<u8> = (0..67).filter(|token| !is_open(&cluster, *token)).collect();
    assert_eq!(ended, [1, 2, 3]);
    assert!(is_open(&cluster, 100), "others' do not count");
    let listed = query::sessions(&cluster.store, ADA, cluster.time()).expect("no fault");
    assert_eq!((listed.len(), listed[0].mark), (64, [66; 16]));
    // The same login proposed twice ends nothing.
    begin(&mut cluster, ADA, 66, "hash").expect("it is the same");
    assert!(is_open(&cluster, 4));
    cluster.sound();
    cluster.now += query::policy(&cluster.store).expect("no fault").session_ttl_ms;
    cluster.must(command::Expire { limit: 500 }.into());
    for table in [Table::Tokens, Table::Sessions] {
        assert_eq!(cluster.store.scan(table, &[], None, 1).expect("no fault"), []);
    }
}

#[test]
fn one_user_holds_so_many_locks_and_is_given_so_much() {
    let mut cluster = Cluster::new();
    for number in 0..=1000 {
        cluster.write(&format!("/{number}"));
    }
    let lock = |number: u32| command::Lock {
        user: ADA,
        file: file(&format!("/{number}")),
        ttl_ms: 60_000,
        mac_hash: Sha256([4; 32]),
    };
    let share = |number: u32, with: &str| command::Share {
        user: ADA,
        file: file(&format!("/{number}")),
        with: with.to_owned(),
        permission: Permission::Read,
    };
    for number in 0..1000 {
        cluster.must(lock(number).into());
        cluster.must(share(number, "bob").into());
    }
    assert_eq!(cluster.run(lock(1000).into()).expect_err("too many").kind, RejectionKind::TooManyRequests);
    assert_eq!(cluster.run(share(1000, "bob").into()).expect_err("too many").kind, RejectionKind::TooManyRequests);
    // What was given is given anew, and others are given as much.
    cluster.must(share(7, "bob").into());
    cluster.signup("eve");
    cluster.must(share(1000, "eve").into());
    cluster.must(command::Unshare { user: ADA, file: file("/1"), with: "bob".to_owned() }.into());
    cluster.must(share(1000, "bob").into());
    cluster.now += 60_000;
    while let Outcome::Progress { more: true, .. } = cluster.must(command::Expire { limit: 500 }.into()) {}
    cluster.must(lock(1000).into());
    cluster.sound();
}

#[test]
fn names_have_nothing_that_nobody_sees_whatever_the_node_says() {
    let mut cluster = Cluster::new();
    let mut name = |name: &str| enroll(&mut cluster, name, Admission::Open);
    for right in ["eve", "0eve", "e.v-e_", &"x".repeat(64)] {
        name(right).expect("it is a name");
    }
    for wrong in [
        "",
        "Eve",
        "-eve",
        "e ve",
        "e/ve",
        "e:ve",
        "e\u{200b}ve",
        "e\u{202e}ve",
        "e\u{2066}ve",
        "\u{feff}eve",
        "e\u{ad}ve",
        "e\u{e0041}ve",
        "e\u{fe0f}",
        "\u{3164}",
        &"x".repeat(65),
        &"\u{fc}".repeat(33),
    ] {
        assert_eq!(name(wrong), Err(RejectionKind::InvalidRequest), "{wrong:?}");
    }
    cluster.sound();
}

#[test]
fn a_receiver_leaves_a_share_and_the_lock_that_it_allowed_goes() {
    let mut cluster = Cluster::new();
    let id = cluster.write("/d/a").file_id;
    let leave = |file: FileRef| command::LeaveShare { user: BOB, file };
    let refused = |cluster: &mut Cluster, file: FileRef| cluster.run(leave(file).into()).expect_err("refused").kind;
    assert_eq!(refused(&mut cluster, FileRef::Id(id)), RejectionKind::NotFound);
    let share = command::Share { user: ADA, file: file("/d"), with: "bob".to_owned(), permission: Permission::Write };
    cluster.must(share.clone().into());
    cluster.must(command::Share { file: file("/d/a"), ..share }.into());
    let lock = command::Lock { user: BOB, file: FileRef::Id(id), ttl_ms: 60_000, mac_hash: Sha256([4; 32]) };
    cluster.must(lock.into());
    cluster.must(leave(FileRef::Id(id)).into());
    assert_eq!(refused(&mut cluster, FileRef::Id(id)), RejectionKind::NotFound, "it is shared by what is above it");
    let lock = |cluster: &Cluster| {
        query::stat(&cluster.store, ADA, &file("/d/a")).expect("no fault").expect("it is there").lock
    };
    assert!(lock(&cluster).is_some(), "he may still write");
    let directory =
        FileRef::Path(PathRef { owner: Some("ada".to_owned()), path: FilePath::parse("/d").expect("a path") });
    cluster.must(leave(directory.clone()).into());
    assert!(lock(&cluster).is_none());
    assert_eq!(refused(&mut cluster, directory), RejectionKind::NotFound);
    let own = command::LeaveShare { user: ADA, file: file("/d") };
    assert_eq!(cluster.run(own.into()).expect_err("it is hers").kind, RejectionKind::NotFound);
    cluster.sound();
}

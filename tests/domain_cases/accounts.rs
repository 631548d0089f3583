//! Who may make an account.

use ringmaster::domain::answer::Outcome;
use ringmaster::domain::terms::{Admission, Policy, SignupMode};
use ringmaster::domain::{ReadStore, RejectionKind, Sha256, Table, UserId, command, query};

use crate::cluster::{ADA, BOB, Cluster};

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

//! Of accounts: signups, invitations.

use super::*;
use crate::domain::rows::{AuditRow, AuditState, Invite, NO_PASSWORD, OneTimeCode, Removal};
use crate::domain::terms::{Admission, PasswordProof, SignupMode};

/// As it was before it was told from where it was opened.
pub(super) fn session() -> Token {
    Token {
        user: UserId(1),
        expires_at: ClusterTime(2),
        wall_expires_at: WallTime(3),
        wall_created_at: WallTime(0),
        seen_at: ClusterTime(0),
        wall_seen_at: WallTime(0),
        from: String::new(),
        agent: String::new(),
    }
}

pub(super) fn rows(golden: &mut Golden) {
    let code = Some(OneTimeCode { hash: digest(7), expires_at: ClusterTime(2) });
    let user = User {
        user_id: UserId(2),
        username: "bob".to_owned(),
        password_hash: NO_PASSWORD.to_owned(),
        admin: false,
        root: FileId(3),
        created_at: WallTime(7),
        disabled: true,
        code,
    };
    golden.add("row.user.disabled", &user);
    let removal = Removal { heir: UserId(1), root: FileId(3), files: 4, through: None, walked: false };
    golden.add("row.removal", &removal);
    golden.add("row.removal.through", &Removal { through: Some(vec![1, 2]), walked: true, ..removal });
    let audited = AuditRow {
        at: ClusterTime(1),
        wall: WallTime(2),
        actor: UserId(1),
        what: "share".to_owned(),
        on: "/a".to_owned(),
        detail: "read bob".to_owned(),
        from: "10.0.0.1".to_owned(),
        before: digest(8),
    };
    golden.add("row.audit", &audited);
    golden.add("row.audit.state", &AuditState { first: 1, next: 2, bytes: 3, head: digest(8) });
    let told = Token {
        wall_created_at: WallTime(4),
        seen_at: ClusterTime(5),
        wall_seen_at: WallTime(6),
        from: "10.0.0.1".to_owned(),
        agent: "curl".to_owned(),
        ..session()
    };
    golden.add("row.session.told", &told);
    let (expires_at, wall_expires_at) = (ClusterTime(2), WallTime(3));
    golden.add("row.invite", &Invite { made_by: UserId(1), expires_at, wall_expires_at });
    for (name, mode) in [("open", SignupMode::Open), ("invite", SignupMode::Invite), ("closed", SignupMode::Closed)] {
        golden.add(&format!("row.policy.signup.{name}"), &Policy { signup_mode: Some(mode), ..old_policy() });
    }
}

pub(super) fn commands(golden: &mut Golden) {
    let (user, hash) = (UserId(1), digest(6));
    let (username, password_hash) = ("ada".to_owned(), "$argon2id$".to_owned());
    for (name, by) in [("setup", Admission::Setup), ("open", Admission::Open), ("invite", Admission::Invite(hash))] {
        let (username, password_hash) = (username.clone(), password_hash.clone());
        golden.command(&format!("enroll.{name}"), command::Enroll { username, password_hash, by }.into());
    }
    let begin = command::BeginSession {
        user,
        token_hash: hash,
        password_hash: password_hash.clone(),
        from: "10.0.0.1".to_owned(),
        agent: "curl".to_owned(),
    };
    golden.command("begin_session", begin.into());
    golden.command("touch_session", command::TouchSession { token_hash: hash }.into());
    for (name, proof) in [("known", PasswordProof::Known(password_hash.clone())), ("code", PasswordProof::Code(hash))] {
        let (password_hash, keep) = (password_hash.clone(), Some(hash));
        golden
            .command(&format!("set_password.{name}"), command::SetPassword { user, password_hash, proof, keep }.into());
    }
    golden.command("end_sessions", command::EndSessions { user, keep: None }.into());
    let add = command::AddAccount { user, username: username.clone(), code_hash: hash, ttl_ms: 60_000 };
    golden.command("add_account", add.into());
    let set = command::SetAccount { user, username: username.clone(), disabled: Some(true), admin: Some(false) };
    golden.command("set_account", set.into());
    let reset = command::ResetPassword { user, username: username.clone(), code_hash: hash, ttl_ms: 60_000 };
    golden.command("reset_password", reset.into());
    let remove = command::RemoveAccount { user, username: username.clone(), heir: Some("bob".to_owned()) };
    golden.command("remove_account", remove.into());
    let file = crate::domain::terms::FileRef::Id(FileId(3));
    golden.command("leave_share", command::LeaveShare { user, file }.into());
    golden.command("hand_over", command::HandOver { limit: 250 }.into());
    golden.command("make_invite", command::MakeInvite { user, hash, ttl_ms: 60_000 }.into());
    golden.command("revoke_invite", command::RevokeInvite { user, hash }.into());
    golden.command("reset_admin", command::ResetAdmin { username, password_hash }.into());
}

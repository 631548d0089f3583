//! Of accounts: signups, invitations.

use super::*;
use crate::domain::rows::Invite;
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
    golden.command("make_invite", command::MakeInvite { user, hash, ttl_ms: 60_000 }.into());
    golden.command("revoke_invite", command::RevokeInvite { user, hash }.into());
    golden.command("reset_admin", command::ResetAdmin { username, password_hash }.into());
}

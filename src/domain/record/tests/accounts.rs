//! Of accounts: signups, invitations.

use super::*;
use crate::domain::rows::Invite;
use crate::domain::terms::{Admission, SignupMode};

pub(super) fn rows(golden: &mut Golden) {
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
    golden.command("make_invite", command::MakeInvite { user, hash, ttl_ms: 60_000 }.into());
    golden.command("revoke_invite", command::RevokeInvite { user, hash }.into());
    golden.command("reset_admin", command::ResetAdmin { username, password_hash }.into());
}

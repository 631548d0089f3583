//! Who may make an account, and who may say so.

use super::{account, is_unused};
use crate::domain::rows::{Invite, User};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables;
use crate::domain::terms::{Admission, Policy, SignupMode};
use crate::domain::{ClusterTime, ReadStore, RejectionKind, Sha256, UserId};

/// The account of an admin.
pub(crate) fn admin(store: &dyn ReadStore, user: UserId) -> Result<User, Stop> {
    let user = account(store, user)?;
    require(user.admin, RejectionKind::Forbidden, "this is for admins: ask one of them")?;
    Ok(user)
}

/// Whether an account may be made by such a right, its invitation aside.
pub(crate) fn admit(store: &dyn ReadStore, policy: &Policy, by: &Admission) -> Result<(), Stop> {
    let detail = match (by, is_unused(store)?, policy.signup()) {
        (Admission::Setup, true, _) => return Ok(()),
        (Admission::Setup, false, _) => {
            "the setup code has made the first account, and makes no other: sign up without it, or ask an admin"
        }
        (_, true, _) => {
            "the first account needs the setup code, which the log of each directory node shows and \
             `ringmaster setup-code` prints"
        }
        (Admission::Open, false, SignupMode::Open)
        | (Admission::Invite(_), false, SignupMode::Open | SignupMode::Invite) => return Ok(()),
        (Admission::Open, false, SignupMode::Invite) => "an account needs an invitation here: ask an admin for one",
        (_, false, SignupMode::Closed) => "nobody makes an account here but the admins: ask one of them",
    };
    Err(reject(RejectionKind::Forbidden, detail))
}

/// An invitation that holds.
pub(crate) fn standing_invite(store: &dyn ReadStore, hash: &Sha256, now: ClusterTime) -> Result<Invite, Stop> {
    let invite = tables::invite(store, hash)?.filter(|invite| invite.expires_at > now);
    invite.ok_or_else(|| reject(RejectionKind::Forbidden, "this invitation was used, or has ended: ask for another"))
}

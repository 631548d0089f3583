//! Who may make an account, and who may say so.

use super::{Reached, account, is_unused};
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

/// An account that an admin names.
pub(crate) fn named(store: &dyn ReadStore, username: &str) -> Result<User, Stop> {
    let nobody = || reject(RejectionKind::NotFound, "there is no such account: see `ringmaster users`");
    let id = tables::user_id(store, username)?.ok_or_else(nobody)?;
    let user = tables::user(store, id)?.ok_or_else(nobody)?;
    let removed = tables::removal(store, id)?.is_some();
    require(!removed, RejectionKind::NotFound, "this account is being removed: wait until it is gone")?;
    Ok(user)
}

/// Refuses to move or remove what is being handed over to the heir of an account: the walk would miss it.
pub(crate) fn check_handed_over(store: &dyn ReadStore, reached: &Reached) -> Result<(), Stop> {
    for (user, removal) in tables::removals(store)? {
        let entry = &reached.entry;
        let inside = entry.file_id == removal.root || reached.above.contains(&removal.root);
        require(
            entry.owner != user && !(inside && entry.is_directory() && !removal.walked),
            RejectionKind::Locked,
            "the files of an account that was removed are being handed over here: try again in some minutes",
        )?;
    }
    Ok(())
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

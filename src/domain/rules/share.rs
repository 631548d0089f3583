//! Sharing is the owner's right alone.

use super::reach::{Reached, reach};
use crate::domain::rows::User;
use crate::domain::stop::{Stop, astray, reject, require};
use crate::domain::terms::FileRef;
use crate::domain::{ReadStore, RejectionKind, UserId, tables};

/// An entry that a user may share, and the account of the one whom it is, or was, shared with.
pub(crate) fn shareable(
    store: &dyn ReadStore,
    user: UserId,
    file: &FileRef,
    with: &str,
) -> Result<(Reached, User), Stop> {
    let reached = reach(store, user, file)?;
    require(reached.is_owner(), RejectionKind::Forbidden, "only its owner may share this: ask the owner")?;
    let Some(id) = tables::user_id(store, with)? else {
        return Err(reject(RejectionKind::NotFound, "there is no user of that name: look at the spelling"));
    };
    if tables::removal(store, id)?.is_some() {
        return Err(reject(RejectionKind::NotFound, "the account of that name is being removed: share with another"));
    }
    let grantee =
        tables::user(store, id)?.ok_or_else(|| astray(format!("the username of account {id} leads nowhere")))?;
    Ok((reached, grantee))
}

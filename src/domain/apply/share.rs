//! Grants. Sharing is the owner's right alone.

use super::Change;
use crate::domain::command::FileRef;
use crate::domain::rows::{Grant, User};
use crate::domain::rules::{self, Reached};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::{Fault, Outcome, Permission, RejectionKind, UserId, tables};

impl Change<'_> {
    /// A second grant to the same user replaces the first.
    pub(super) fn share(
        &mut self,
        user: UserId,
        file: &FileRef,
        with: &str,
        permission: Permission,
    ) -> Result<Outcome, Stop> {
        let (reached, grantee) = self.owned(user, file, with)?;
        require(
            grantee.user_id != user,
            RejectionKind::InvalidRequest,
            "this is yours already: share it with another user",
        )?;
        let file_id = reached.entry.file_id;
        tables::put_grant(self.store, &Grant { user: grantee.user_id, file_id, permission })?;
        Ok(Outcome::Granted { file_id, username: grantee.username, permission })
    }

    pub(super) fn unshare(&mut self, user: UserId, file: &FileRef, with: &str) -> Result<Outcome, Stop> {
        let (reached, grantee) = self.owned(user, file, with)?;
        let file_id = reached.entry.file_id;
        if tables::grant(self.store, grantee.user_id, file_id)?.is_none() {
            let detail = "this itself is not shared with that user: name the file or directory that was shared";
            return Err(reject(RejectionKind::NotFound, detail));
        }
        tables::delete_grant(self.store, grantee.user_id, file_id)?;
        Ok(Outcome::Done)
    }

    fn owned(&self, user: UserId, file: &FileRef, with: &str) -> Result<(Reached, User), Stop> {
        let reached = rules::reach(self.store, user, file)?;
        require(reached.is_owner(), RejectionKind::Forbidden, "only its owner may share this: ask the owner")?;
        let Some(id) = tables::user_id(self.store, with)? else {
            return Err(reject(RejectionKind::NotFound, "there is no user of that name: look at the spelling"));
        };
        let grantee = tables::user(self.store, id)?
            .ok_or_else(|| Fault(format!("the username of account {id} leads nowhere")))?;
        Ok((reached, grantee))
    }
}

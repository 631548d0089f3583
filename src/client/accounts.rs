//! The calls by which accounts are kept.

use super::directory::Directory;
use super::error::ClientError;
use super::request::Request;
use crate::protocol::accounts::{
    AddUser, AdminReset, Audit, AuditQuery, ChangePassword, EndSessions, Invites, LeaveShare, MadeInvite, MakeInvite,
    RemoveUser, ResetUser, RevokeInvite, Sessions, SetUser, UserCode,
};
use crate::protocol::api::{Account, FileName};
use crate::protocol::problem::Code;
use crate::protocol::versions::UserInfo;

impl Directory {
    /// An invitation, by which somebody makes one account.
    ///
    /// # Errors
    /// Refused with `forbidden` where the caller is no admin, as the next two.
    pub async fn make_invite(&self, ttl_ms: Option<u64>) -> Result<MadeInvite, ClientError> {
        self.call_json(&Request::change("/admin/invites", self.next_key(), &MakeInvite { ttl_ms })?).await
    }

    /// The invitations that stand.
    ///
    /// # Errors
    /// As every call.
    pub async fn invites(&self) -> Result<Invites, ClientError> {
        self.call_json(&Request::get("/admin/invites")).await
    }

    /// # Errors
    /// Refused with `not_found` where it was used, or has ended.
    pub async fn revoke_invite(&self, invite_id: &str) -> Result<(), ClientError> {
        self.nothing("/admin/invites/revoke", &RevokeInvite { invite_id: invite_id.to_owned() }).await
    }

    /// Another password for the caller. All other sessions end.
    ///
    /// # Errors
    /// Refused with `forbidden` where the old one is wrong.
    pub async fn change_password(&self, change: &ChangePassword) -> Result<(), ClientError> {
        self.nothing("/password", change).await
    }

    /// The caller's sessions.
    ///
    /// # Errors
    /// As every call.
    pub async fn sessions(&self) -> Result<Sessions, ClientError> {
        self.call_json(&Request::get("/sessions")).await
    }

    /// Ends one of the caller's sessions, or several.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such session.
    pub async fn end_sessions(&self, end: &EndSessions) -> Result<(), ClientError> {
        match self.nothing("/sessions/end", end).await {
            // An attempt whose answer was lost ended the session that asks.
            Err(error) if error.after_unknown && end.all && error.code() == Some(Code::Unauthenticated) => Ok(()),
            result => result,
        }
    }

    /// One page of who did what, the oldest first.
    ///
    /// # Errors
    /// Refused with `forbidden` where the caller is no admin.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Audit, ClientError> {
        let request = Request::get("/admin/audit").query_opt("from", query.from).query_opt("limit", query.limit);
        self.call_json(&request).await
    }

    /// Gives up what somebody shared with the caller.
    ///
    /// # Errors
    /// Refused with `not_found` where that itself was not shared.
    pub async fn leave_share(&self, file: &FileName) -> Result<(), ClientError> {
        self.nothing("/shares/leave", &LeaveShare { file: file.clone() }).await
    }

    /// Makes an account, whose user sets a password by the code.
    ///
    /// # Errors
    /// Refused with `already_exists` where the name is taken, `forbidden` where the caller is no admin, as the next three.
    pub async fn add_user(&self, username: &str) -> Result<UserCode, ClientError> {
        self.call_json(&Request::change("/admin/users", self.next_key(), &AddUser { username: username.to_owned() })?)
            .await
    }

    /// Takes a user's password away, who sets another one by the code.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such user.
    pub async fn reset_user(&self, username: &str) -> Result<UserCode, ClientError> {
        let reset = ResetUser { username: username.to_owned() };
        self.call_json(&Request::change("/admin/users/reset", self.next_key(), &reset)?).await
    }

    /// Disables or enables an account, or makes it an admin's or not.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such user, `forbidden` for the own account.
    pub async fn set_user(&self, set: &SetUser) -> Result<UserInfo, ClientError> {
        self.call_json(&Request::change("/admin/users/set", self.next_key(), set)?).await
    }

    /// Begins to remove an account: it is listed until everything is handed over.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such user, `forbidden` for the own account, `too_many_requests` while a
    /// backup is taken.
    pub async fn remove_user(&self, remove: &RemoveUser) -> Result<(), ClientError> {
        self.nothing("/admin/users/remove", remove).await
    }

    /// Makes an account an admin's under a new password; this client's token is the cluster secret.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such account.
    pub async fn reset_admin(&self, reset: &AdminReset) -> Result<Account, ClientError> {
        self.call_json(&Request::change("/admin-reset", self.next_key(), reset)?).await
    }
}

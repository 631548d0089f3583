//! The JSON of the calls by which accounts are kept. Unknown fields are refused.

use serde::{Deserialize, Serialize};

use super::api::FileName;

/// `POST /signup`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signup {
    pub username: String,
    pub password: String,
    /// Makes the first account of a cluster, and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_code: Option<String>,
    /// An invitation of an admin: it is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
}

/// `POST /login`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    pub username: String,
    /// The password, or a one-time code of an admin.
    pub password: String,
    /// The password from now on, where the other one is a one-time code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_password: Option<String>,
}

/// Who may make an account, the first one aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignupMode {
    #[default]
    Open,
    /// Whoever has an invitation of an admin.
    Invite,
    /// Nobody.
    Closed,
}

/// `POST /admin/invites`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MakeInvite {
    /// 60,000 to 30 days; a week where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
}

/// An invitation, at the only time that it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeInvite {
    pub invite: String,
    pub invite_id: String,
    pub expires_at: String,
}

/// One that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteInfo {
    /// SHA-256 of the invitation.
    pub invite_id: String,
    /// A username.
    pub made_by: String,
    pub expires_at: String,
}

/// Those that end first come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invites {
    pub invites: Vec<InviteInfo>,
}

/// `POST /admin/invites/revoke`. Answered by 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeInvite {
    pub invite_id: String,
}

/// `POST /admin-reset`, with the cluster secret: makes an account an admin's under a new password. Answered by the account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminReset {
    pub username: String,
    pub password: String,
}

/// `POST /password`. Answered by 204; all other sessions of the user end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    pub old_password: String,
    pub new_password: String,
}

/// A session of the caller's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    pub session_id: String,
    pub created_at: String,
    /// When it was used last, to the hour.
    pub seen_at: String,
    pub expires_at: String,
    /// The address that it was opened from.
    pub from: String,
    /// What the client called itself that opened it.
    pub agent: String,
    /// It is the one that asks.
    pub current: bool,
}

/// Those that were used last come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    pub sessions: Vec<SessionInfo>,
}

/// `POST /sessions/end`: one of the three. Answered by 204.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndSessions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// All but the one that asks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// `POST /admin/users`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    pub username: String,
}

/// `POST /admin/users/reset`: the password is void from then on, and all sessions are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetUser {
    pub username: String,
}

/// By which a user sets a password, at the only time that it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCode {
    pub username: String,
    /// Sent as the password of a `/login` with `new_password`.
    pub code: String,
    pub expires_at: String,
}

/// `POST /admin/users/set`. What is not given stays as it is. Answered by the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUser {
    pub username: String,
    /// No session of the user holds, and none is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
}

/// `POST /admin/users/remove`. Answered by the user, who is listed until everything is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveUser {
    pub username: String,
    /// Who gets the files, in a directory of that user's name. Where nobody is named they are in the admin's trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heir: Option<String>,
}

/// `POST /shares/leave`: gives up what somebody shared with the caller. Answered by 204.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeaveShare {
    #[serde(flatten)]
    pub file: FileName,
}

/// One change that the audit tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub number: u64,
    pub at: String,
    /// A username; null for an operator with the cluster secret.
    pub by: Option<String>,
    /// What was done, by a word that never changes its meaning.
    pub what: String,
    /// What it was done to: a username, a path, an id.
    pub on: String,
    pub detail: String,
    /// The address that the request came from.
    pub from: String,
    /// SHA-256 of the row, which the next row has in it.
    pub hash: String,
}

/// The oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    pub entries: Vec<AuditEntry>,
    /// The number that the next page begins with.
    pub next: Option<u64>,
}

/// The query of `GET /admin/audit`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct AuditQuery {
    /// The number of the first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

//! The JSON of the calls by which accounts are kept. Unknown fields are refused.

use serde::{Deserialize, Serialize};

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

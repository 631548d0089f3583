//! The JSON of the calls that only an admin may make: `/admin/…` of any directory node. Unknown fields are refused, so
//! that a misspelt one never looks like one that took effect.

use serde::{Deserialize, Serialize};

use super::accounts::SignupMode;
use super::join::SignedToken;
use crate::domain::ServerUuid;

/// What the whole cluster goes by. `GET /admin/policy`, and the answer to a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How many copies a file has, 1 to 5.
    pub copies: u32,
    /// How long a dropped copy stays on its disk.
    pub garbage_linger_ms: u64,
    /// How old bytes that no file names must be before they count as left over.
    pub garbage_grace_ms: u64,
    /// For how long the outcome of an operation is remembered.
    pub operation_ttl_ms: u64,
    /// For how long a login holds.
    pub session_ttl_ms: u64,
    /// The oldest receipt of a file server that a write may name.
    pub receipt_ttl_ms: u64,
    /// By how many percent of the mean the fullest server's count of primaries may exceed the emptiest's before files
    /// are moved; 0 for never.
    pub rebalance_percent: u32,
    /// How many older versions of a file an update keeps; 0 for none.
    #[serde(default)]
    pub versions_keep: u32,
    /// For how long they are kept; 0 for not at all.
    #[serde(default)]
    pub versions_ms: u64,
    /// For how long what was deleted can be had back; 0 for not at all.
    #[serde(default)]
    pub trash_ms: u64,
    /// How many bytes a user may have who has no bounds of the user's own; 0 for any number.
    #[serde(default)]
    pub quota_bytes: u64,
    /// How many files such a user may have; 0 for any number.
    #[serde(default)]
    pub quota_files: u64,
    /// The largest extent, 4 MiB to 1 GiB: what is larger is stored in several.
    #[serde(default)]
    pub extent_bytes: u64,
    /// The least size of a part that is not the last one of its upload.
    #[serde(default)]
    pub part_min_bytes: u64,
    /// Who may make an account, the first one aside.
    #[serde(default)]
    pub signup_mode: SignupMode,
    /// For how long the audit keeps its rows.
    #[serde(default)]
    pub audit_ms: u64,
    /// How many bytes of rows it keeps.
    #[serde(default)]
    pub audit_bytes: u64,
    /// Why files cannot have so many copies now, and what to do.
    #[serde(default)]
    pub held_up: Option<String>,
}

/// `POST /admin/policy`: what is not given stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage_linger_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage_grace_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation_ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebalance_percent: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions_keep: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trash_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extent_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_min_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signup_mode: Option<SignupMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit_bytes: Option<u64>,
}

/// `POST /admin/drain`: takes a server out of the ring to be emptied, or back into it. Answered by the server as
/// `/ring` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    pub server_id: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,
}

/// `POST /admin/remove`: forgets a server on which nothing is left. Answered by 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    pub server_id: u64,
}

/// `POST /admin/rebalance`: begins to level the servers out, or stops that. Answered by 204.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rebalance {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop: bool,
}

/// `POST /admin/backup/hold`: no garbage goes until `ttl_ms` have passed. Answered by 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// 32 hexadecimal digits, made by whoever asks.
    pub hold_id: String,
    pub ttl_ms: u64,
    /// It is to stand already: refused with `not_found` where it has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew: bool,
}

/// `POST /admin/backup/release`: ends a hold, or one that has ended. Answered by 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub hold_id: String,
}

/// The query of `GET /admin/backup/blob`, which answers with the bytes of a blob that a backup's index names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobOfBackup {
    /// 32 hexadecimal digits.
    pub blob_id: String,
    pub size: u64,
    /// The first byte that is wanted: how many came before a stream broke off.
    #[serde(default)]
    pub offset: u64,
}

/// `POST /admin/scrub`: has one server, or all that are up, read and check everything that they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scrub {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_id: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbing {
    /// Servers that are at it.
    pub started: Vec<u64>,
    /// Servers that are up and could not be asked.
    #[serde(default)]
    pub failed: Vec<ScrubFailure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubFailure {
    pub server_id: u64,
    pub reason: String,
}

/// `POST /admin/members`: takes a directory node in. Answered with how far it is: 202 while it is not done, and 200 when
/// it is. Sent again, it goes on and answers anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    pub node_id: u64,
    /// Where users and file servers reach it.
    pub url: String,
    /// Where the other directory nodes reach it.
    pub peer: String,
}

/// `POST /admin/members/address`: where a directory node that has moved is from now on. It must be up there, and its own
/// configuration must say the same. Answered as [`AddMember`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAddress {
    pub node_id: u64,
    /// Where users and file servers reach it.
    pub url: String,
    /// Where the other directory nodes reach it.
    pub peer: String,
}

/// `POST /admin/members/remove`: lets a directory node go for good. Answered as `POST /admin/members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveMember {
    pub node_id: u64,
    /// Also where fewer than a majority of the others are reachable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// `POST /admin/transfer`: another node is to lead; the most caught-up one where none is named. Answered as
/// `POST /admin/members`, by the new leader's number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<u64>,
}

/// How far a change of the directory nodes is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberProgress {
    pub node_id: u64,
    pub stage: MemberStage,
    pub done: bool,
    /// Log entries that the new node lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Bytes of a snapshot that it has, of those in `snapshot_bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_sent: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStage {
    Greeting,
    CatchingUp,
    Promoting,
    Voter,
    Removing,
    Removed,
    Moving,
    /// Done.
    Moved,
    HandingOver,
    Leads,
    /// The cluster begins to use the next schema: no change of members, but it runs in their place.
    Rising,
}

/// Body of `POST /admin/join-token`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinTokenAsked {
    /// How long the token is to hold: a second to 30 days, an hour where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// The file server that is to have a new key, because it has lost its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<ServerUuid>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenMade {
    /// Whoever has it can add one file server.
    pub token: SignedToken,
    /// RFC 3339.
    pub expires_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_is_refused() {
        assert!(serde_json::from_str::<PolicyChange>(r#"{"copies":3}"#).is_ok());
        assert!(serde_json::from_str::<PolicyChange>(r#"{"copy":3}"#).is_err());
        assert!(serde_json::from_str::<Drain>(r#"{"server_id":1,"cancel":true}"#).is_ok());
        assert!(serde_json::from_str::<Drain>(r#"{"server_id":1,"undo":true}"#).is_err());
        assert!(serde_json::from_str::<Scrub>(r#"{"server":1}"#).is_err());
    }

    #[test]
    fn what_is_not_given_is_not_sent() {
        let change = PolicyChange { copies: Some(3), ..PolicyChange::default() };
        assert_eq!(serde_json::to_string(&change).expect("serializes"), r#"{"copies":3}"#);
        assert_eq!(serde_json::to_string(&Rebalance::default()).expect("serializes"), "{}");
    }
}

//! The JSON of what files were, of the trash, and of how much there is. As in `api`: a field may be added; none changes its
//! meaning.

use serde::{Deserialize, Serialize};

use super::api::{FileName, Kind};

/// The query of `GET /read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadName {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// An older version; the present one where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// One state of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    pub version: u64,
    pub size: u64,
    /// Null where the bytes came in parts.
    pub sha256: Option<String>,
    pub content_type: String,
    /// A username.
    pub made_by: String,
    pub made_at: String,
    /// Null for the current one.
    pub kept_until: Option<String>,
}

/// The newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versions {
    pub versions: Vec<VersionInfo>,
    pub next_cursor: Option<String>,
}

/// `POST /versions/restore`: an old version becomes the next one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreVersion {
    #[serde(flatten)]
    pub file: FileName,
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
}

/// What was deleted and can be had back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashEntry {
    pub file_id: u64,
    /// Where it was.
    pub path: String,
    pub kind: Kind,
    /// Null for a directory.
    pub size: Option<u64>,
    /// A username.
    pub deleted_by: String,
    pub deleted_at: String,
    pub kept_until: String,
}

/// What was deleted first comes first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trash {
    pub entries: Vec<TrashEntry>,
    pub next_cursor: Option<String>,
}

/// `POST /trash/restore`. Unknown fields are refused here and in [`EmptyTrash`]: a misspelt one would mean something else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreTrashed {
    pub file_id: u64,
    /// Where it was, if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// `POST /trash/empty`: one entry, or all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmptyTrash {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emptied {
    /// Entries that are gone for good, each with all that was below it.
    pub removed: u64,
    /// There are more: one call takes a hundred.
    pub more: bool,
}

/// `POST /copy`: a new file with the content of another. No byte is moved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Copy {
    #[serde(flatten)]
    pub file: FileName,
    pub to: String,
    /// In whose tree; the caller's where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_owner: Option<String>,
}

/// What a user has, old versions and the trash with it, and may have; 0 for any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub bytes: u64,
    pub files: u64,
    pub max_bytes: u64,
    pub max_files: u64,
}

/// An account as the admin sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    pub user_id: u64,
    pub username: String,
    pub admin: bool,
    pub created_at: String,
    pub usage: Usage,
    /// The user's own bound; null where the policy's holds.
    pub max_bytes: Option<u64>,
    pub max_files: Option<u64>,
    #[serde(default)]
    pub disabled: bool,
    /// Who gets what it had, where it is being removed.
    #[serde(default)]
    pub heir: Option<String>,
}

/// In the order in which they signed up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Users {
    pub users: Vec<UserInfo>,
    pub next_cursor: Option<String>,
}

/// `POST /admin/quota`: both bounds of a user. Answered by the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    pub username: String,
    /// 0 for any number; the policy's where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
}

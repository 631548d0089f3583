//! The JSON of `/restore/…`: how a new cluster is made from a backup. These calls take the cluster secret, since a
//! cluster that is to be restored has no admin yet.

use serde::{Deserialize, Serialize};

/// `GET /restore`: whether a cluster can be restored, is being restored, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub state: State,
    /// SHA-256 of the index of the backup, where there is one.
    pub backup: Option<String>,
    pub cluster_id: String,
    pub cluster_name: String,
    /// The version of the cluster's tables: rows of a newer one cannot be restored into it.
    pub schema_version: u64,
    /// What came of the backup so far; nothing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came: Option<Came>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Came {
    pub entries: u64,
    pub users: u64,
    pub grants: u64,
    pub contents: u64,
    pub versions: u64,
    pub trash: u64,
    pub retentions: u64,
    pub properties: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody ever had an account.
    New,
    Restoring,
    Restored,
    /// It has users of its own.
    InUse,
}

/// `POST /restore/rows`: rows of the index, at most 200. Answered by 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    pub backup: String,
    pub rows: Vec<Row>,
    /// Cluster time of the backup.
    pub taken_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub table: String,
    /// Base64, as the value.
    pub key: String,
    pub value: String,
}

/// `POST /restore/missing`: which of these contents are not there yet? At most 1,000.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    pub content_ids: Vec<String>,
}

/// The query of `PUT /restore/content`, whose body is the content's bytes. Answered by 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub backup: String,
    pub content_id: String,
    /// Its row of `contents`, in URL-safe base64 without padding.
    pub row: String,
}

/// `POST /restore/done`: puts the cluster into service, if so many came. Answered by 204.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    pub backup: String,
    pub entries: u64,
    pub users: u64,
    pub grants: u64,
    pub contents: u64,
    pub versions: u64,
    pub trash: u64,
    /// Directories with a retention of their own.
    pub retentions: u64,
    /// Of files and directories.
    pub properties: u64,
}

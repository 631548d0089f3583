//! The JSON of how long directories keep what is below them. As in `api`: a field may be added; none changes its meaning.

use serde::{Deserialize, Serialize};

/// `POST /retention`: all three values of a directory; what is not given is said further up. Answered by 204. Unknown fields
/// are refused: a misspelt one would take a value away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRetention {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions_keep: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash_ms: Option<u64>,
}

/// What a directory says itself; null for what it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRetention {
    pub versions_keep: Option<u32>,
    pub versions_ms: Option<u64>,
    pub trash_ms: Option<u64>,
}

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retained {
    /// How many older versions of a file an update keeps; 0 for none.
    pub versions_keep: u32,
    /// For how long; 0 for not at all.
    pub versions_ms: u64,
    /// For how long what was deleted can be had back; 0 for not at all.
    pub trash_ms: u64,
}

/// For how long something is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    pub file_id: u64,
    pub path: String,
    pub own: OwnRetention,
    /// For a file, or for what is in a directory.
    pub effective: Retained,
}

/// The directories of a tree with values of their own, in the order of their paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retentions {
    pub directories: Vec<Retention>,
}

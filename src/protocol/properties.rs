//! The JSON of properties: what users say of an entry, by names of their own. As in `api`: a field may be added; none changes
//! its meaning.

use serde::{Deserialize, Serialize};

use super::api::FileName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// 1 to 512 bytes without control characters.
    pub name: String,
    pub value: String,
}

/// What an entry has, in the order of the names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    pub file_id: u64,
    pub properties: Vec<Property>,
}

/// `POST /properties`: sets and removes, all of it or nothing. Answered by 204.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetProperties {
    #[serde(flatten)]
    pub file: FileName,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<Property>,
    /// What is not there is no error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
}

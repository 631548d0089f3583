//! Uploads in several requests: the headers of tus 1.0.0, and the JSON beside it. As in `api`: a field may be added; none
//! changes its meaning.

use serde::{Deserialize, Serialize};

use super::api::{FileName, ReplicaInfo};

/// The version of tus that is spoken.
pub const VERSION: &str = "1.0.0";
pub const RESUMABLE: &str = "tus-resumable";
pub const SUPPORTED: &str = "tus-version";
pub const EXTENSIONS: &str = "tus-extension";
pub const MAX_SIZE: &str = "tus-max-size";
pub const OFFSET: &str = "upload-offset";
pub const LENGTH: &str = "upload-length";
pub const DEFER_LENGTH: &str = "upload-defer-length";
pub const METADATA: &str = "upload-metadata";
pub const EXPIRES: &str = "upload-expires";
/// What the body of a `PATCH` is.
pub const OFFSET_OCTETS: &str = "application/offset+octet-stream";
/// The file that an upload has become.
pub const FILE_ID: &str = "ringmaster-file-id";

/// The query of `POST /uploads`: what the upload is to become. What is not given may stand in `Upload-Metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The next version of a file that is there, rather than a new file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update: bool,
}

impl Target {
    pub fn file(&self) -> FileName {
        FileName { file_id: self.file_id, path: self.path.clone(), owner: self.owner.clone() }
    }
}

/// An upload that has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadInfo {
    pub upload_id: String,
    /// The next byte to be sent.
    pub offset: u64,
    /// The size of the whole; null where it is not known yet.
    pub length: Option<u64>,
    /// How many of the bytes are stored in extents…
    pub stored: u64,
    /// …and their SHA-256: whoever goes on with a file of its own compares this first.
    pub sha256: String,
    pub content_type: String,
    /// Where it is to be a new file, or whose next version it is to be.
    pub path: Option<String>,
    pub owner: Option<String>,
    pub file_id: Option<u64>,
    /// It is to be the next version of a file that is there.
    pub update: bool,
    /// How many parts it has, where it comes in parts; `offset` is what they come to.
    pub parts: Option<u64>,
    /// It is a large part of that upload, on its way.
    pub part_of: Option<String>,
    pub expires_at: String,
}

/// `GET /uploads`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Uploads {
    pub uploads: Vec<UploadInfo>,
    pub next_cursor: Option<String>,
}

/// `POST /uploads/finish`: what has all its bytes becomes a file, another one than it was begun for where one is named.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    pub upload_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
}

/// `POST /uploads/parts`: begins an upload in parts. What it is to become is named as for `POST /uploads`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginParts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
}

/// An upload in parts that has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartsInfo {
    pub upload_id: String,
    /// How many there are that are not put together yet.
    pub parts: u64,
    /// Of all of them.
    pub bytes: u64,
    /// It is being completed: nothing becomes of it but what the list of parts says.
    pub completing: bool,
    pub content_type: String,
    /// Where it is to be a new file, or whose next version it is to be.
    pub path: Option<String>,
    pub owner: Option<String>,
    pub file_id: Option<u64>,
    pub update: bool,
    pub expires_at: String,
}

/// One part: the answer to `PUT /uploads/parts/{upload_id}`, and a row of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    pub part: u32,
    pub size: u64,
    pub sha256: String,
    /// In the list alone.
    pub put_at: Option<String>,
}

/// `GET /uploads/parts/{upload_id}`, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartsPage {
    pub upload: PartsInfo,
    pub parts: Vec<PartInfo>,
    pub next_cursor: Option<String>,
}

/// A part as a list names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedPart {
    pub part: u32,
    /// What the part was answered with.
    pub sha256: String,
}

/// `POST /uploads/parts/{upload_id}/complete`: a file of these parts; another one than it was begun for where one is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompleteParts {
    #[serde(default)]
    pub parts: Vec<NamedPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_token: Option<String>,
}

/// One extent of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtentInfo {
    pub offset: u64,
    pub size: u64,
    pub sha256: String,
    pub replicas: Vec<ReplicaInfo>,
}

/// `GET /extents`, in the order of the file's bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Extents {
    pub extents: Vec<ExtentInfo>,
    pub next_cursor: Option<String>,
}

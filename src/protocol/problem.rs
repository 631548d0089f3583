//! Errors as the client sees them: `application/problem+json` (RFC 9457) with a stable `code`.

use serde::{Deserialize, Serialize};

/// The media type of an error's body.
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! codes {
    ($($variant:ident $text:literal $status:literal $title:literal;)*) => {
        /// A stable error code. Clients decide by it; its text never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($variant),* }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }
        }
    };
}

codes! {
    InvalidRequest "invalid_request" 400 "The request is not valid";
    InvalidPath "invalid_path" 400 "The path is not valid";
    Unauthenticated "unauthenticated" 401 "Not logged in";
    Forbidden "forbidden" 403 "Not allowed";
    NotFound "not_found" 404 "Not found";
    MethodNotAllowed "method_not_allowed" 405 "The call takes another method";
    AlreadyExists "already_exists" 409 "Already exists";
    ChangeUnderWay "change_under_way" 409 "Another change is under way";
    OffsetConflict "offset_conflict" 409 "The upload is at another byte";
    NotEmpty "not_empty" 409 "The directory is not empty";
    VersionConflict "version_conflict" 412 "Another version is there";
    TooLarge "too_large" 413 "Too large";
    RangeNotSatisfiable "range_not_satisfiable" 416 "The range is outside the file";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The Idempotency-Key was used for another request";
    ChecksumMismatch "checksum_mismatch" 422 "The checksum does not match";
    Locked "locked" 423 "The file is locked";
    TooManyRequests "too_many_requests" 429 "Too many requests";
    HeadTooLarge "head_too_large" 431 "The request's head is too large";
    DataCorrupt "data_corrupt" 500 "The stored data is damaged";
    Internal "internal" 500 "Something went wrong inside";
    NotImplemented "not_implemented" 501 "This is not done here";
    Overloaded "overloaded" 503 "Too much in hand at the moment";
    NoLeader "no_leader" 503 "No leader at the moment";
    NoFileServer "no_file_server" 503 "No file server can take the file";
    Restoring "restoring" 503 "The cluster is being restored";
    NoReplicaAvailable "no_replica_available" 503 "No copy of the file can be reached";
    OutcomeUnknown "outcome_unknown" 504 "The outcome is not known";
    StorageFull "storage_full" 507 "The file servers are full";
    DirectoryFull "directory_full" 507 "The directory nodes are full";
    QuotaExceeded "quota_exceeded" 507 "The quota is used up";
}

impl Code {
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

/// The body of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub code: String,
    /// One sentence that says what to do.
    pub detail: String,
    pub request_id: String,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>, request_id: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:ringmaster:error:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            code: code.as_str().to_owned(),
            detail: detail.into(),
            request_id: request_id.into(),
        }
    }
}

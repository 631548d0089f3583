//! What an upload is to become, from its query and its `Upload-Metadata`.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::directory::error::{ApiError, ApiResult};
use crate::directory::http::request::{file_ref, path_ref};
use crate::domain::terms::{LockProof, Precondition, Purpose};
use crate::protocol::uploads::{METADATA, Target};

/// `Upload-Metadata`: keys, each with a value in base64 or none.
pub(super) struct Metadata(Vec<(String, String)>);

impl Metadata {
    pub(super) fn read(headers: &HeaderMap) -> ApiResult<Self> {
        let invalid = || ApiError::invalid("Upload-Metadata is not valid: send `key base64, key base64`");
        let Some(value) = headers.get(METADATA) else { return Ok(Self(Vec::new())) };
        let text = value.to_str().map_err(|_| invalid())?;
        let mut pairs = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let bytes = BASE64_STANDARD.decode(value.trim()).map_err(|_| invalid())?;
            pairs.push((key.to_owned(), String::from_utf8(bytes).map_err(|_| invalid())?));
        }
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub(super) fn content_type(&self) -> &str {
        self.get("content_type").or_else(|| self.get("filetype")).unwrap_or_default()
    }

    /// What the query names, and where it names nothing, what is said here: clients of other makers say `filename`.
    pub(super) fn target(&self, mut named: Target) -> ApiResult<Target> {
        if named.path.is_none() && named.file_id.is_none() {
            named.owner = named.owner.or_else(|| self.get("owner").map(str::to_owned));
            named.path = self.get("path").map(str::to_owned);
            if let Some(name) = self.get("filename").filter(|_| named.path.is_none()) {
                named.path = Some(format!("/{}", name.trim_start_matches('/')));
            }
            if let Some(id) = self.get("file_id").filter(|_| named.path.is_none()) {
                let id = id.parse();
                named.file_id = Some(id.map_err(|_| ApiError::invalid("the file_id in Upload-Metadata is no number"))?);
            }
        }
        named.update |= self.get("update") == Some("true");
        Ok(named)
    }
}

pub(super) fn purpose(
    target: &Target,
    precondition: Option<Precondition>,
    lock: Option<LockProof>,
) -> ApiResult<Purpose> {
    if target.update {
        return Ok(Purpose::Update { file: file_ref(&target.file())?, precondition, lock });
    }
    if target.file_id.is_some() {
        return Err(ApiError::invalid("a new file is named by its path: leave out file_id, or say update=true"));
    }
    let path = target.path.as_deref().ok_or_else(|| {
        ApiError::invalid("no path is named: give path=… in the query, or `path` or `filename` in Upload-Metadata")
    })?;
    Ok(Purpose::Write(path_ref(path, target.owner.as_deref())?))
}

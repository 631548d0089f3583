//! `/write` and `/update`: files on their way in.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderName;
use http::header::{CONTENT_TYPE, IF_MATCH};

use super::directory::Directory;
use super::download::REPR_DIGEST;
use super::error::ClientError;
use super::request::{Request, Upload};
use super::resumable::Sending;
use super::source::{Progress, Source};
use crate::protocol::api;
use crate::protocol::uploads::Target;

/// The `ETag` of a version: a version alone comes again after a file was deleted and made anew.
pub fn etag(file_id: u64, version: u64) -> String {
    format!("\"{file_id}-{version}\"")
}

/// What may go with a new file.
#[derive(Clone, Default)]
pub struct WriteOptions {
    /// The media type; the server's default where it is not given.
    pub content_type: Option<String>,
    pub progress: Option<Progress>,
}

/// What may go with a new version.
#[derive(Clone, Default)]
pub struct UpdateOptions {
    pub content_type: Option<String>,
    /// Needed while the file is locked.
    pub lock_token: Option<String>,
    /// An [`etag`]: the update is refused where another version is there.
    pub if_match: Option<String>,
    pub progress: Option<Progress>,
}

impl Directory {
    /// Stores a new file at `file.path`, with its missing parents.
    ///
    /// # Errors
    /// Refused with `already_exists` where the path is taken.
    pub async fn write(
        &self,
        file: &api::FileName,
        source: Source,
        options: WriteOptions,
    ) -> Result<api::Stat, ClientError> {
        let sending = Sending {
            target: target(file, false),
            source: &source,
            content_type: options.content_type.as_deref(),
            lock_token: None,
            if_match: None,
            progress: options.progress.as_ref(),
        };
        if sending.is_large() {
            return self.send(&sending).await;
        }
        let upload = Upload { source: source.clone(), progress: options.progress };
        let mut request = Request::upload("/write", self.next_key(), upload)?.file(file);
        if let Some(content_type) = &options.content_type {
            request.set(CONTENT_TYPE, content_type)?;
        }
        self.store(request, &source).await
    }

    /// Stores a new version of a file that is there.
    ///
    /// # Errors
    /// Refused with `not_found`, `locked` or `version_conflict` where the file is not as the caller believes.
    pub async fn update(
        &self,
        file: &api::FileName,
        source: Source,
        options: UpdateOptions,
    ) -> Result<api::Stat, ClientError> {
        let sending = Sending {
            target: target(file, true),
            source: &source,
            content_type: options.content_type.as_deref(),
            lock_token: options.lock_token.as_deref(),
            if_match: options.if_match.as_deref(),
            progress: options.progress.as_ref(),
        };
        if sending.is_large() {
            return self.send(&sending).await;
        }
        let upload = Upload { source: source.clone(), progress: options.progress };
        let mut request = Request::upload("/update", self.next_key(), upload)?.file(file);
        let headers = [
            (CONTENT_TYPE, &options.content_type),
            (IF_MATCH, &options.if_match),
            (HeaderName::from_static(api::LOCK_TOKEN), &options.lock_token),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                request.set(name, value)?;
            }
        }
        self.store(request, &source).await
    }

    /// Sends it with its digest, where that is known, and compares what was stored with what was sent.
    async fn store(&self, mut request: Request, source: &Source) -> Result<api::Stat, ClientError> {
        if let Some(digest) = source.digest() {
            request.set(REPR_DIGEST, &format!("sha-256=:{}:", BASE64_STANDARD.encode(digest.0)))?;
        }
        let stat: api::Stat = self.call_json(&request).await?;
        match (source.sent(), &stat.sha256) {
            (Some(sent), Some(stored)) if *stored != sent.to_string() => Err(ClientError::untrusted(format!(
                "other bytes are stored than were sent (their SHA-256 is {stored}, it should be {sent}): store it again as a \
                 new version"
            ))),
            _ => Ok(stat),
        }
    }
}

fn target(file: &api::FileName, update: bool) -> Target {
    Target { file_id: file.file_id, path: file.path.clone(), owner: file.owner.clone(), update }
}

//! Files that are sent in numbered parts, in any order, from any number of clients.

use http::HeaderName;
use http::header::IF_MATCH;

use super::directory::Directory;
use super::download::REPR_DIGEST;
use super::error::ClientError;
use super::request::{Request, Upload};
use super::source::Source;
use crate::protocol::api;
use crate::protocol::uploads::{BeginParts, CompleteParts, PartInfo, PartsInfo, PartsPage};

impl Directory {
    /// Begins an upload in parts. It is kept for a day after its last part.
    ///
    /// # Errors
    /// As for a write or an update, where the file could not become what is asked for.
    pub async fn begin_parts(&self, begin: &BeginParts, if_match: Option<&str>) -> Result<PartsInfo, ClientError> {
        let mut request = Request::change("/uploads/parts", self.next_key(), begin)?;
        if let Some(etag) = if_match {
            request.set(IF_MATCH, etag)?;
        }
        self.call_json(&request).await
    }

    /// Sends a part, 1 to 10,000, in place of the one of that number. It may be sent again at will.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such upload any more, with `change_under_way` where it is being completed.
    pub async fn put_part(&self, upload_id: &str, part: u32, source: Source) -> Result<PartInfo, ClientError> {
        use base64::Engine as _;
        let upload = Upload { source: source.clone(), progress: None };
        let mut request = Request::put(format!("/uploads/parts/{upload_id}"), upload).query("part", part);
        if let Some(digest) = source.digest() {
            let digest = base64::prelude::BASE64_STANDARD.encode(digest.0);
            request.set(REPR_DIGEST, &format!("sha-256=:{digest}:"))?;
        }
        let stored: PartInfo = self.call_json(&request).await?;
        match source.sent() {
            Some(sent) if stored.sha256 != sent.to_string() => Err(ClientError::untrusted(format!(
                "other bytes are stored than were sent as part {part} (their SHA-256 is {}, it should be {sent}): send it again",
                stored.sha256
            ))),
            _ => Ok(stored),
        }
    }

    /// The parts of an upload: one page.
    ///
    /// # Errors
    /// Refused with `not_found` where there is no such upload any more.
    pub async fn parts(&self, upload_id: &str, cursor: Option<&str>) -> Result<PartsPage, ClientError> {
        let request = Request::get(format!("/uploads/parts/{upload_id}")).query("limit", 1000);
        self.call_json(&request.query_opt("cursor", cursor)).await
    }

    /// Makes a file of the parts that are named. The same list may be sent again: it goes on, and hears the same for a day.
    ///
    /// # Errors
    /// Refused with `change_under_way` or `already_exists` where it is, or was, completed with another list.
    pub async fn complete_parts(
        &self,
        upload_id: &str,
        complete: &CompleteParts,
        if_match: Option<&str>,
    ) -> Result<api::Stat, ClientError> {
        let path = format!("/uploads/parts/{upload_id}/complete");
        let mut request = Request::change(path, self.next_key(), complete)?;
        if let Some(etag) = if_match {
            request.set(IF_MATCH, etag)?;
        }
        // The list itself is its name.
        request.key = None;
        request.headers.remove(HeaderName::from_static(api::IDEMPOTENCY_KEY));
        self.call_json(&request).await
    }
}

//! The calls about properties.

use super::directory::Directory;
use super::error::ClientError;
use super::request::Request;
use crate::protocol::api::FileName;
use crate::protocol::properties::{Properties, SetProperties};

impl Directory {
    /// The properties of a file or a directory.
    ///
    /// # Errors
    /// Refused with `not_found` where nothing is there.
    pub async fn properties(&self, file: &FileName) -> Result<Properties, ClientError> {
        self.call_json(&Request::get("/properties").file(file)).await
    }

    /// Sets and removes properties, all of them or none. `if_match` is an etag of what is there now.
    ///
    /// # Errors
    /// Refused with `forbidden` where the caller may only read, `locked` where others have locked the file,
    /// `invalid_request` where there would be too many or too much.
    pub async fn set_properties(&self, change: &SetProperties, if_match: Option<&str>) -> Result<(), ClientError> {
        let mut request = Request::change("/properties", self.next_key(), change)?;
        if let Some(etag) = if_match {
            request.set(http::header::IF_MATCH, etag)?;
        }
        self.call(&request).await.map(drop)
    }
}

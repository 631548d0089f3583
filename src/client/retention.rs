//! The calls about how long directories keep what is below them.

use super::directory::Directory;
use super::error::ClientError;
use super::request::Request;
use crate::protocol::api::FileName;
use crate::protocol::retention::{Retention, Retentions, SetRetention};

impl Directory {
    /// What counts for a file, or for what is in a directory.
    ///
    /// # Errors
    /// Refused with `not_found` where nothing is there.
    pub async fn retention(&self, file: &FileName) -> Result<Retention, ClientError> {
        self.call_json(&Request::get("/retention").file(file)).await
    }

    /// The directories of the caller's tree with values of their own.
    ///
    /// # Errors
    /// As every call.
    pub async fn retentions(&self) -> Result<Retentions, ClientError> {
        self.call_json(&Request::get("/retention/all")).await
    }

    /// Sets all three values of a directory.
    ///
    /// # Errors
    /// Refused with `forbidden` where it is not the caller's, `invalid_request` where it is a file or a value is out of
    /// bounds, `quota_exceeded` where too many directories have values of their own.
    pub async fn set_retention(&self, values: &SetRetention) -> Result<(), ClientError> {
        self.call(&Request::change("/retention", self.next_key(), values)?).await.map(drop)
    }
}

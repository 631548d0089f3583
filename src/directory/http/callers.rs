//! Who calls at the cluster's port: members, by what their certificates say.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::App;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::{PublicKey, ServerUuid, query};
use crate::protocol::problem::Code;
use crate::trust::{Identity, Proven};

/// A file server, with the key that it has shown. Whether the cluster knows it by that key is asked with
/// [`FileServer::is_known`].
pub(crate) struct FileServer {
    pub(crate) uuid: ServerUuid,
    key: PublicKey,
}

/// The lock service.
pub(crate) struct LockService;

/// A person with the cluster secret.
pub(crate) struct Operator;

impl FileServer {
    /// Whether it is the server that it speaks for, and the cluster knows it by its key. Removal and a new key end that at
    /// once.
    ///
    /// # Errors
    /// Why it is not listened to.
    pub(crate) async fn is_known(&self, node: &App, speaks_for: ServerUuid) -> ApiResult<()> {
        if speaks_for != self.uuid {
            let detail = format!(
                "the certificate is that of the file server with the UUID {}, and the call speaks for {speaks_for}: a data directory is one server's",
                self.uuid
            );
            return Err(ApiError::new(Code::Forbidden, detail));
        }
        let uuid = self.uuid;
        let look = move |store: &dyn crate::domain::ReadStore| query::member_key(store, uuid);
        // One that has just joined may not be known here yet: then all are asked.
        if node.handle().read_local(look).await? == Some(self.key) || node.handle().read(look).await? == Some(self.key)
        {
            return Ok(());
        }
        Err(ApiError::new(
            Code::Forbidden,
            "the cluster does not know this file server by its key: it was removed, or another one has taken its place. \
             Empty the data directory and give it a new join token (`ringmaster join-token`)",
        ))
    }
}

impl FromRequestParts<App> for FileServer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        match parts.extensions.get::<Proven>() {
            Some(Proven { identity: Identity::FileServer(uuid), key }) => Ok(Self { uuid: *uuid, key: *key }),
            proven => Err(refused(proven, "file servers: give this one a join token")),
        }
    }
}

impl FromRequestParts<App> for LockService {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        match parts.extensions.get::<Proven>() {
            Some(Proven { identity: Identity::LockService | Identity::FileServer(_), .. }) => Ok(Self),
            proven => Err(refused(proven, "the lock service: make its certificate with `ringmaster certificate`")),
        }
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        match parts.extensions.get::<Proven>() {
            Some(Proven { identity: Identity::Operator, .. }) => Ok(Self),
            proven => Err(refused(proven, "operators, who have the cluster secret: use the command line")),
        }
    }
}

fn refused(proven: Option<&Proven>, whose: &str) -> ApiError {
    match proven {
        None => ApiError::new(Code::Unauthenticated, format!("no certificate was shown; this call is for {whose}")),
        Some(proven) => {
            let who = proven.identity.describe();
            ApiError::new(Code::Forbidden, format!("the certificate is that of {who}; this call is for {whose}"))
        }
    }
}

//! Whether a call may be made here.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::Context;
use super::answer::Failure;
use crate::domain::plant::{Plant, planted};
use crate::domain::{BlobId, ClusterId, Epoch, ServerId};
use crate::fileserver::view::View;
use crate::protocol::capability::{Bearer, Capability, Demand, Method};
use crate::protocol::problem::Code;
use crate::trust::{Identity, Proven};

/// How long a call waits for the answer to a registration. The directory counts a server as up from its own commit on:
/// the server learns of that later by a message and a sync of its record.
const ADMISSION: Duration = Duration::from_secs(2);

/// The head of a call, and who has sent it.
pub(super) struct Caller {
    pub(super) headers: HeaderMap,
    proven: Option<Proven>,
}

impl Caller {
    /// As whom it comes with a capability.
    fn bearer(&self, context: &Context) -> Result<Bearer, Failure> {
        match self.proven.map(|proven| proven.identity) {
            Some(Identity::Directory(_)) => Ok(Bearer::Directory),
            Some(Identity::FileServer(_)) => context.joining.capabilities().map(Bearer::Other).ok_or_else(not_admitted),
            Some(other) => {
                let detail =
                    format!("The certificate is that of {}: send the call to a directory node.", other.describe());
                Err(Failure::new(Code::Forbidden, detail))
            }
            None => Err(Failure::new(
                Code::Unauthenticated,
                "Show a certificate of this cluster: send the call to a directory node.",
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { headers: parts.headers.clone(), proven: parts.extensions.get().copied() })
    }
}

/// A call that may be made, and who this server is for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) cluster_id: ClusterId,
    pub(super) server_id: ServerId,
    /// Always there where the method writes.
    epoch: Option<Epoch>,
    pub(super) max_bytes: u64,
}

impl Granted {
    /// The epoch that a receipt is to name: the one at the beginning of the call. Should another one begin meanwhile,
    /// the receipt must not count.
    pub(super) fn epoch(&self) -> Result<Epoch, Failure> {
        self.epoch.ok_or_else(not_admitted)
    }

    pub(super) const fn known_epoch(&self) -> Option<Epoch> {
        self.epoch
    }
}

/// Checks the call's capability, before anything else of the request is looked at. One that names an admission of which
/// this server has not heard yet waits for that, for [`ADMISSION`] at most.
pub(super) async fn authorize(
    context: &Context,
    caller: &Caller,
    method: Method,
    blob_id: Option<BlobId>,
) -> Result<Granted, Failure> {
    let text = bearer(&caller.headers).ok_or_else(|| {
        Failure::new(Code::Unauthenticated, "Every call of a blob needs a capability: send it to a directory node.")
    })?;
    let refused = |error: crate::protocol::capability::CapabilityError| {
        let code = if error.is_unauthenticated() { Code::Unauthenticated } else { Code::Forbidden };
        Failure::new(code, error.to_string())
    };
    let bearer = caller.bearer(context)?;
    let capability = Capability::verify(bearer, text, context.clock.agreed_ms()).map_err(refused)?;
    let mut views = context.view.clone();
    // Whether it came in time or not, what is known then decides.
    let _ = tokio::time::timeout(ADMISSION, views.wait_for(|view| !is_behind(view, &capability))).await;
    let view = context.view.borrow().clone();
    let (cluster_id, server_id) = view.bound.ok_or_else(not_admitted)?;
    if method.writes() && view.epoch.is_none() {
        return Err(not_admitted());
    }
    if !planted(Plant::CapabilityNotChecked) {
        capability.check(&Demand { method, cluster_id, server_id, epoch: view.epoch, blob_id }).map_err(refused)?;
    }
    Ok(Granted { cluster_id, server_id, epoch: view.epoch, max_bytes: capability.max_bytes })
}

/// Whether a directory node that gave `capability` knows of an admission that this server does not know.
fn is_behind(view: &View, capability: &Capability) -> bool {
    match view.bound {
        None => true,
        Some(bound) => bound == (capability.cluster_id, capability.server_id) && view.epoch < capability.epoch,
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

fn not_admitted() -> Failure {
    Failure::new(Code::NoFileServer, "This file server is not admitted to its cluster yet: try again in a moment.")
}

//! The way in for file servers, the lock service and operators: the port of the cluster, which consensus listens at.

use std::sync::OnceLock;

use axum::Router;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

use crate::consensus::{AnswerBody, MemberCalls};
use crate::listener::Arriving;

/// Hands calls of members to their router. Consensus listens before there is one: until then members are told to come again.
pub(crate) struct MembersPort {
    router: OnceLock<Router>,
    /// Not Raft's: no call of a file server shall take the threads of a heartbeat.
    runtime: Handle,
}

impl MembersPort {
    /// On the runtime that is to do the work.
    pub(crate) fn new() -> Self {
        Self { router: OnceLock::new(), runtime: Handle::current() }
    }

    /// Calls are answered from here on.
    pub(crate) fn open(&self, router: Router) {
        let _ = self.router.set(router);
    }
}

impl MemberCalls for MembersPort {
    fn answer(&self, request: Request<Arriving>) -> BoxFuture<'static, Response<AnswerBody>> {
        let Some(router) = self.router.get().cloned() else {
            return Box::pin(async { status(StatusCode::SERVICE_UNAVAILABLE) });
        };
        // What is asked for ends with its connection, as it would without a task of its own.
        let answering = AbortOnDropHandle::new(self.runtime.spawn(router.oneshot(request)));
        Box::pin(async move {
            match answering.await {
                Ok(Ok(response)) => response.map(boxed),
                Ok(Err(never)) => match never {},
                // It has panicked, and that is in the log.
                Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
            }
        })
    }
}

fn boxed(body: Body) -> AnswerBody {
    body.map_err(Into::into).boxed_unsync()
}

fn status(status: StatusCode) -> Response<AnswerBody> {
    let mut response = Response::new(boxed(Body::empty()));
    *response.status_mut() = status;
    response
}

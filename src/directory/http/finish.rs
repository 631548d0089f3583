//! The outermost layer: every request gets an id and a deadline, and what failed its problem document.

use std::time::Duration;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::client::request_id::in_request;
use crate::consensus::ProposeError;
use crate::directory::error::{ApiError, Pending};
use crate::listener::{Lease, Origin};
use crate::protocol::api::REQUEST_ID;
use crate::protocol::problem::{Code, MEDIA_TYPE, Problem};
use crate::protocol::ticket::Ticket;
use crate::trust::Proven;

/// A request that moves no bytes is answered within ten seconds.
const DEADLINE: Duration = Duration::from_millis(9_500);
/// Seconds after which a client that met no leader, or too many others, should try again. An election takes about one.
const RETRY_AFTER: u64 = 1;
/// Whose callers need not be known.
const STRANGERS_CALLS: [&str; 6] = ["/signup", "/login", "/healthz", "/readyz", "/", "/join"];

/// Gives the request its id, and writes the problem document of what failed. The one place where
/// a failed request is logged.
pub(crate) async fn finish(
    axum::extract::State(node): axum::extract::State<super::App>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(&request).unwrap_or_else(|| hex::encode(node.clock.random::<8>()));
    let method = request.method().clone();
    let moves_bytes = matches!(
        request.uri().path(),
        "/write" | "/update" | "/read" | "/admin/backup/index" | "/admin/backup/blob" | "/restore/content"
    ) || request.uri().path().starts_with("/uploads");
    let route = request.uri().path().to_owned();
    let origin = request.extensions().get::<Origin>().copied();
    let (from, https) =
        (origin.map(|origin| tracing::field::display(origin.address)), origin.and_then(|origin| origin.https));
    let span = tracing::info_span!(
        "request", request_id = %id, node_id = %node.node_id, method = %method, route = %route, from, https
    );
    let asker = Asker::of(&request);
    let mut response = {
        use tracing::Instrument as _;
        let answer = in_request(&id, next.run(request).instrument(span.clone()));
        if moves_bytes {
            answer.await
        } else {
            match tokio::time::timeout(DEADLINE, answer).await {
                Ok(answer) => answer,
                Err(_) => late(&method).into_response(),
            }
        }
    };
    let code = response.extensions().get::<Pending>().map(|pending| pending.code);
    if matches!(code, Some(Code::InvalidRequest | Code::InvalidPath))
        && let Some(error) = asker.refuses_stranger(&node).await
    {
        response = error.into_response();
    }
    let _entered = span.enter();
    if let Some(pending) = response.extensions_mut().remove::<Pending>() {
        let headers = std::mem::take(response.headers_mut());
        response = problem_response(&pending, &id);
        for name in [header::CONTENT_RANGE, header::ALLOW] {
            if let Some(value) = headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        let status = pending.code.status();
        let cause = pending.cause.as_deref().unwrap_or("");
        if status == 500 {
            tracing::error!(code = pending.code.as_str(), cause, "request failed");
        } else if status > 500 {
            tracing::warn!(code = pending.code.as_str(), cause, "request not served");
        } else {
            tracing::debug!(code = pending.code.as_str(), cause, "request refused");
        }
    }
    node.count_request(response.status().as_u16());
    // No browser is to find a page in what says that it is none.
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), value);
    }
    response
}

/// Whoever sent a request, for when there is something wrong with it: of that only those are told who may call at all. Each
/// call looks at what it was sent before it asks the state who sent it, since both come from one read.
struct Asker(Option<Parts>);

impl Asker {
    /// What strangers may call has nobody to ask for, and a ticket speaks for itself.
    fn of(request: &Request) -> Self {
        let uri = request.uri();
        // A member has shown who it is before its first request.
        let is_member = request.extensions().get::<Proven>().is_some();
        if is_member || STRANGERS_CALLS.contains(&uri.path()) || Ticket::find_in(uri.query().unwrap_or("")).is_some() {
            return Self(None);
        }
        let mut parts = axum::http::Request::new(()).into_parts().0;
        if let Some(bearer) = request.headers().get(header::AUTHORIZATION) {
            parts.headers.insert(header::AUTHORIZATION, bearer.clone());
        }
        if let Some(lease) = request.extensions().get::<Lease>() {
            parts.extensions.insert(lease.clone());
        }
        Self(Some(parts))
    }

    async fn refuses_stranger(self, node: &super::App) -> Option<ApiError> {
        let parts = self.0?;
        node.sender_is_known(&parts).await.err().filter(|error| error.code == Code::Unauthenticated)
    }
}

/// The waits of one request, each bounded by itself, must not add up to more than a client was promised.
fn late(method: &Method) -> ApiError {
    if method == Method::POST {
        ApiError::from(ProposeError::OutcomeUnknown("the request took too long".to_owned()))
    } else {
        ApiError::no_leader().because("the request took too long")
    }
}

/// A caller may name its request itself, so that one id runs through several systems' logs.
fn request_id(request: &Request) -> Option<String> {
    let given = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let plain = given.len() <= 64 && given.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    (plain && !given.is_empty()).then(|| given.to_owned())
}

fn problem_response(pending: &Pending, id: &str) -> Response {
    let problem = Problem::new(pending.code, pending.detail.clone(), id);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if matches!(problem.status, 429 | 503 | 504) {
        let after = pending.after.map_or(RETRY_AFTER, |after| after.as_secs() + 1);
        headers.insert(header::RETRY_AFTER, after.into());
    }
    if pending.code == Code::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

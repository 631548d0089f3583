//! Errors on their way to a client: what a person may see, and the cause that only the log sees.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::consensus::{AskError, ProposeError, ReadError};
use crate::domain::{PathError, Rejection, RejectionKind};
use crate::protocol::api::REQUEST_ID;
use crate::protocol::problem::{Code, MEDIA_TYPE, Problem};

/// A request that moves no bytes is answered within ten seconds.
const DEADLINE: Duration = Duration::from_millis(9_500);
/// Seconds after which a client that met no leader should try again. An election takes about one.
const RETRY_AFTER: &str = "1";

/// A refused or failed request. `detail` is for the client and says what to do; `cause` is for the log alone.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) detail: String,
    cause: Option<String>,
}

pub(crate) type ApiResult<T = Response> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), cause: None }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    pub(crate) fn internal(cause: impl ToString) -> Self {
        Self::new(
            Code::Internal,
            "the node met an internal error: try again, and look into its log under this request id",
        )
        .because(cause)
    }

    pub(crate) fn no_leader() -> Self {
        Self::new(
            Code::NoLeader,
            "the directory has no leader at the moment and nothing was done: try again in a second",
        )
    }

    /// Adds what only the log sees.
    pub(crate) fn because(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.kind {
            RejectionKind::InvalidRequest => Code::InvalidRequest,
            RejectionKind::InvalidPath => Code::InvalidPath,
            RejectionKind::Unauthenticated => Code::Unauthenticated,
            RejectionKind::Forbidden => Code::Forbidden,
            RejectionKind::NotFound => Code::NotFound,
            RejectionKind::AlreadyExists => Code::AlreadyExists,
            RejectionKind::NotEmpty => Code::NotEmpty,
            RejectionKind::VersionConflict => Code::VersionConflict,
            RejectionKind::IdempotencyKeyReused => Code::IdempotencyKeyReused,
            RejectionKind::Locked => Code::Locked,
            RejectionKind::TooManyRequests => Code::TooManyRequests,
            RejectionKind::NoFileServer => Code::NoFileServer,
            RejectionKind::StorageFull => Code::StorageFull,
            RejectionKind::StaleReceipt | RejectionKind::StaleState => {
                return Self::new(Code::NoFileServer, "the file servers changed during the request: send it again")
                    .because(rejection.detail);
            }
        };
        Self::new(code, rejection.detail)
    }
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> Self {
        Self::new(Code::InvalidPath, error.0)
    }
}

impl From<ProposeError> for ApiError {
    fn from(error: ProposeError) -> Self {
        let cause = error.to_string();
        match error {
            ProposeError::OutcomeUnknown(_) => Self::new(
                Code::OutcomeUnknown,
                "the change may or may not have been made: repeat it with the same Idempotency-Key to learn which",
            ),
            ProposeError::Refused(cause) => Self::invalid(cause),
            ProposeError::NoLeader(_) | ProposeError::Stopped(_) => Self::no_leader(),
        }
        .because(cause)
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let cause = error.to_string();
        match error {
            ReadError::Fault(_) => Self::internal(cause),
            _ => Self::no_leader().because(cause),
        }
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        Self::no_leader().because(error)
    }
}

/// What `finish` needs to write the body; travels in the response's extensions.
#[derive(Clone)]
struct Pending {
    code: Code,
    detail: String,
    cause: Option<String>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Pending { code: self.code, detail: self.detail, cause: self.cause });
        response
    }
}

/// The outermost layer: gives the request its id, and writes the problem document of what failed. The one place where
/// a failed request is logged.
pub(crate) async fn finish(
    axum::extract::State(node): axum::extract::State<super::App>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(&request).unwrap_or_else(|| hex::encode(node.clock.random::<8>()));
    let method = request.method().clone();
    let moves_bytes = matches!(request.uri().path(), "/write" | "/update" | "/read");
    let route = request.uri().path().to_owned();
    let span =
        tracing::info_span!("request", request_id = %id, node_id = %node.node_id, method = %method, route = %route);
    let mut response = {
        use tracing::Instrument as _;
        let answer = next.run(request).instrument(span.clone());
        if moves_bytes {
            answer.await
        } else {
            match tokio::time::timeout(DEADLINE, answer).await {
                Ok(answer) => answer,
                Err(_) => late(&method).into_response(),
            }
        }
    };
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
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), value);
    }
    response
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
    if matches!(problem.status, 503 | 504) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    }
    if pending.code == Code::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

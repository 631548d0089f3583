//! Errors as answers, and the one place where they are logged.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use super::Context;
use crate::client::request_id::in_request;
use crate::fileserver::store::StoreError;
use crate::fileserver::transfer::IntakeError;
use crate::protocol::api::REQUEST_ID;
use crate::protocol::blob::headers;
use crate::protocol::problem::{Code, MEDIA_TYPE, Problem};

/// A call that came to nothing. It becomes a problem document in [`finish`], which knows the request's id.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: Code,
    detail: String,
    /// Whether the connection is of no use any more, because a part of the request is still under way on it.
    closes: bool,
    /// Why the disk takes no writes, where that is the cause.
    refusal: Option<Arc<str>>,
}

impl Failure {
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), closes: false, refusal: None }
    }

    #[must_use]
    pub(super) fn closing(self) -> Self {
        Self { closes: true, ..self }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Missing => Code::NotFound,
            StoreError::Damaged { .. } => Code::DataCorrupt,
            StoreError::Conflict(_) => Code::AlreadyExists,
            StoreError::Full => Code::StorageFull,
            StoreError::Refused(why) => {
                let refusal = Some(Arc::clone(why));
                return Self { refusal, ..Self::new(Code::NoFileServer, error.to_string()) };
            }
            StoreError::Io { .. } | StoreError::Newer(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<IntakeError> for Failure {
    fn from(error: IntakeError) -> Self {
        let code = match error {
            IntakeError::Store(error) => return error.into(),
            IntakeError::Broken(_) | IntakeError::Stalled(_) | IntakeError::WrongLength { .. } => Code::InvalidRequest,
            IntakeError::TooLarge(_) => Code::TooLarge,
            IntakeError::WrongDigest { .. } => Code::ChecksumMismatch,
            IntakeError::Interrupted(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

/// Names each request, and turns failures into problem documents.
pub(super) async fn finish(State(context): State<Arc<Context>>, request: Request, next: Next) -> Response {
    let request_id = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| {
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
        .map_or_else(|| hex::encode(context.clock.random::<8>()), ToOwned::to_owned);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("call", request_id, %method, path);
    let mut response = in_request(&request_id, next.run(request).instrument(span)).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        let Failure { code, detail, closes, refusal } = failure;
        let code_text = code.as_str();
        match code.status() {
            500 => tracing::error!(request_id, %method, path, code = code_text, detail, "a call failed"),
            501.. => tracing::warn!(request_id, %method, path, code = code_text, detail, "a call cannot be done now"),
            _ => tracing::debug!(request_id, %method, path, code = code_text, detail, "a call was refused"),
        }
        let headers = std::mem::take(response.headers_mut());
        response = (response.status(), Json(Problem::new(code, detail, &request_id))).into_response();
        response.headers_mut().extend(headers.into_iter().filter(|(name, _)| {
            name.as_ref().is_some_and(|name| *name != header::CONTENT_LENGTH && *name != header::CONTENT_TYPE)
        }));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response.headers_mut().insert(headers::CODE, HeaderValue::from_static(code.as_str()));
        if let Some(refusal) = refusal {
            let text = HeaderValue::from_str(&refusal).unwrap_or(HeaderValue::from_static("it refuses"));
            response.headers_mut().insert(headers::REFUSAL, text);
        }
        if closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

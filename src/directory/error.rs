//! Errors on their way to a client: what a person may see, and the cause that only the log sees.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::consensus::{AskError, ProposeError, ReadError};
use crate::domain::{PathError, Rejection, RejectionKind};
use crate::protocol::problem::Code;

/// A refused or failed request. `detail` is for the client and says what to do; `cause` is for the log alone.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) detail: String,
    cause: Option<String>,
    /// When to try again, where that is not soon.
    after: Option<Duration>,
}

pub(crate) type ApiResult<T = Response> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), cause: None, after: None }
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

    /// `nodes` are those whose disks are below their floors.
    pub(crate) fn directory_full(nodes: &str) -> Self {
        Self::new(
            Code::DirectoryFull,
            format!(
                "the disks of the directory nodes are nearly full ({nodes}) and nothing was done: delete files, or have an \
                 admin make room on those nodes; until then only what frees room is taken"
            ),
        )
    }

    /// When it makes sense to try again.
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    #[cfg(test)]
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.after
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
            RejectionKind::QuotaExceeded => Code::QuotaExceeded,
            RejectionKind::Restoring => Code::Restoring,
            RejectionKind::ChangeUnderWay => Code::ChangeUnderWay,
            RejectionKind::Astray => Code::DataCorrupt,
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
            ProposeError::Full(nodes) => Self::directory_full(&nodes),
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

/// What the outermost layer needs to write the body; travels in the response's extensions.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) cause: Option<String>,
    pub(crate) after: Option<Duration>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Pending {
            code: self.code,
            detail: self.detail,
            cause: self.cause,
            after: self.after,
        });
        response
    }
}

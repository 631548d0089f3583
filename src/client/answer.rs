//! What a node's answer means for the caller.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::ClientError;
use super::retry::Failure;
use crate::protocol::api;
use crate::protocol::problem::{Code, Problem};

/// The largest answer that is read into memory: a page of a listing with long names.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// The largest error that is read.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// A whole 2xx answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Reads the body. The request may have taken effect, so a body that breaks off is an unknown outcome.
    pub(super) async fn read(node: &Url, mut response: Response, limit: Duration) -> Result<Self, Failure> {
        let headers = response.headers().clone();
        match tokio::time::timeout(limit, body_of(&mut response, MAX_ANSWER_BYTES)).await {
            Ok(Some(body)) => Ok(Self { headers, body }),
            Ok(None) => Err(Failure::Unknown { cause: format!("{node}: the answer broke off"), silent: true }),
            Err(_) => Err(Failure::Unknown { cause: format!("{node}: the answer stalled"), silent: true }),
        }
    }

    /// # Errors
    /// When it is no JSON of the shape that the call has.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ClientError::untrusted(format!(
                "the answer is not the one of a Ringmaster directory node ({error}): check the url, and that both \
                 sides are of the same release"
            ))
        })
    }
}

/// What an answer that is no 2xx means.
pub(super) async fn said_no(node: &Url, mut response: Response, limit: Duration) -> Failure {
    let status = response.status();
    let headers = response.headers().clone();
    let body = tokio::time::timeout(limit, body_of(&mut response, MAX_PROBLEM_BYTES)).await.ok().flatten();
    meaning(node, status, &headers, &body.unwrap_or_default())
}

fn meaning(node: &Url, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let said = problem.as_ref().map_or_else(|| format!("answered {status}"), |problem| problem.detail.clone());
    let cause = format!("{}: {said}", node.origin().ascii_serialization());
    match status {
        // Too many of something at this node, at the moment: another one may take it, and this one later.
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            let code = problem.as_ref().and_then(|problem| Code::parse(&problem.code));
            Failure::NotNow { cause, code, retry_after: retry_after(headers) }
        }
        // 502 comes from a proxy, which knows no more than we do.
        StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY => Failure::Unknown { cause, silent: false },
        _ => Failure::Final(ClientError::refused(problem.unwrap_or_else(|| unexplained(node, status, headers)))),
    }
}

/// For an answer without a problem body: to `HEAD`, or of something that is no Ringmaster.
fn unexplained(node: &Url, status: StatusCode, headers: &HeaderMap) -> Problem {
    // Only a status that one code alone has stands for it.
    let mut codes = Code::ALL.iter().filter(|code| code.status() == status.as_u16());
    let code = codes.next().filter(|_| codes.next().is_none());
    Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("Unknown status").to_owned(),
        status: status.as_u16(),
        code: code.map_or("unexpected_answer", |code| code.as_str()).to_owned(),
        detail: format!("{node} answered {status} without saying why"),
        request_id: headers.get(api::REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned(),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The body where it is whole and at most `most` bytes.
async fn body_of(response: &mut Response, most: usize) -> Option<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > most {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body.freeze())
}

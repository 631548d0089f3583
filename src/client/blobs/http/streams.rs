//! The bytes of a blob on their way out and in. Neither way may end early without an error.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use reqwest::Response;

use super::answer::unreachable;
use super::{BlobError, Body};
use crate::domain::ServerId;

/// What became of a body that is being sent.
#[derive(Clone, Default)]
pub(super) struct Sent(Arc<SentState>);

#[derive(Default)]
struct SentState {
    bytes: AtomicU64,
    failure: Mutex<Option<BlobError>>,
}

impl Sent {
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Acquire)
    }

    /// Why the body broke off, once.
    pub(super) fn failure(&self) -> Option<BlobError> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, error: BlobError) -> io::Error {
        let text = error.to_string();
        *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        io::Error::other(text)
    }

    fn add(&self, bytes: usize) -> u64 {
        let bytes = bytes as u64;
        self.0.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes
    }
}

/// The body as the HTTP client sends it. An error in it aborts the connection, so that the server never takes a part
/// for the whole; so does another length than was announced, which the client would otherwise cut off in silence.
pub(super) fn outgoing(body: Body, length: Option<u64>) -> (reqwest::Body, Sent) {
    let sent = Sent::default();
    let stream = stream::unfold(Some((body, sent.clone())), move |state| async move {
        let (mut body, sent) = state?;
        let piece = match body.next().await {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Some((Err(sent.fail(error)), None)),
            None => {
                let bytes = sent.bytes();
                let announced = length.filter(|length| *length != bytes)?;
                let error = BlobError::BodyBroken(format!("it ended after {bytes} of {announced} bytes"));
                return Some((Err(sent.fail(error)), None));
            }
        };
        let bytes = sent.add(piece.len());
        if let Some(length) = length.filter(|length| *length < bytes) {
            let error = BlobError::BodyBroken(format!("it is longer than the announced {length} bytes"));
            return Some((Err(sent.fail(error)), None));
        }
        Some((Ok(piece), Some((body, sent))))
    });
    (reqwest::Body::wrap_stream(stream), sent)
}

/// The body of an answer. It ends in an error unless it has exactly `length` bytes, and when nothing comes for `stall`.
pub(super) fn complete(server_id: ServerId, length: u64, stall: Duration, response: Response) -> Body {
    let state = Some((response.bytes_stream().boxed(), 0_u64));
    stream::unfold(state, move |state| async move {
        let (mut pieces, before) = state?;
        let broken = |cause: String| Some((Err(BlobError::Unreachable { server_id, cause }), None));
        match tokio::time::timeout(stall, pieces.next()).await {
            Err(_) => broken(format!("nothing came for {} s", stall.as_secs())),
            Ok(Some(Err(error))) => Some((Err(unreachable(server_id, &error)), None)),
            Ok(None) if before == length => None,
            Ok(None) => broken(format!("it broke off after {before} of {length} bytes")),
            Ok(Some(Ok(piece))) => {
                let bytes = before + piece.len() as u64;
                if bytes > length {
                    return broken(format!("it sends more than the announced {length} bytes"));
                }
                Some((Ok(piece), Some((pieces, bytes))))
            }
        }
    })
    .boxed()
}

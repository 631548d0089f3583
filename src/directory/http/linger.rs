//! What becomes of the rest of a body that is refused.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;

/// How long the rest of a refused body is read and thrown away. A client that is still sending when its connection is
/// closed often sees only a reset, and not the answer that tells it why.
const LINGER: Duration = Duration::from_secs(30);
/// A client that sends nothing for so long is not waited for.
const LINGER_IDLE: Duration = Duration::from_secs(5);

/// Whether the client waits for a word before it sends the body.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads on and throws away what a refused client still sends, so that it gets to read why. A client that waits for
/// `100 Continue` sends nothing after a refusal, and must not be told to.
pub(crate) fn linger(body: Body, headers: &HeaderMap) {
    if expects_continue(headers) {
        return;
    }
    tokio::spawn(async move {
        let mut rest = body.into_data_stream();
        let drain = async { while let Ok(Some(Ok(_))) = tokio::time::timeout(LINGER_IDLE, rest.next()).await {} };
        let _ = tokio::time::timeout(LINGER, drain).await;
    });
}

//! What becomes of the rest of a body that is refused.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

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
    tokio::spawn(drain(body.into_data_stream()));
}

async fn drain(mut rest: BodyDataStream) {
    let drain = async { while let Ok(Some(Ok(_))) = tokio::time::timeout(LINGER_IDLE, rest.next()).await {} };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

/// A body that is read by somebody who does not give it back, as a parser of forms. What is left of it when that ends is
/// read on and thrown away, as [`linger`] has it.
pub(crate) struct Lingering {
    /// Nothing once it has ended.
    body: Option<BodyDataStream>,
    /// The client sends: it did not wait for a word, or was given it with the first look.
    sends: bool,
}

impl Lingering {
    pub(crate) fn new(body: Body, headers: &HeaderMap) -> Self {
        Self { body: Some(body.into_data_stream()), sends: !expects_continue(headers) }
    }
}

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.sends = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_next(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let (Some(rest), true, Ok(runtime)) = (self.body.take(), self.sends, tokio::runtime::Handle::try_current()) {
            runtime.spawn(drain(rest));
        }
    }
}

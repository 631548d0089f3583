//! Many requests on one connection, where a handshake has agreed on HTTP/2.
//!
//! What it adds to what a connection may cost: requests at once, requests that are begun and called off, and answers that
//! are taken slowly while the connection itself goes on. `pace` sees only the connection, so each answer has its own clock
//! here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::server::conn::http2;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::MOST_AT_ONCE;
use super::arriving::{Arriving, Leaving};
use super::gate::Lease;
use super::pace::Paced;

/// Requests in hand on one connection. A browser opens some tens.
const MOST_STREAMS: u32 = 64;
/// Requests that were called off before they were looked at, beyond which the connection ends.
const MOST_RESET_UNSEEN: usize = 20;
/// Requests called off while they were worked on, less those that came to an end. Somebody who scrolls through pictures
/// calls off as many as a page has; who only calls off does nothing else.
const MOST_CALLED_OFF: u32 = 128;
/// What is kept of one answer until it is taken.
const MOST_UNSENT: usize = 64 * 1024;
/// What may come of one body, and of all on the connection, before it is asked for. As much as a line of 100 Mbit/s needs at
/// 80 ms.
const WINDOW: u32 = 1024 * 1024;
/// The longest between two looks at answers that are not taken.
const LOOK: Duration = Duration::from_secs(1);

/// What one connection has in hand.
#[derive(Default)]
struct Desk {
    /// Answers that wait for the other side, each since when.
    handed: Mutex<HashMap<u64, Instant>>,
    next: AtomicU64,
    called_off: AtomicU32,
}

impl Desk {
    fn handed(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when the connection has to: an answer was not taken for too long, or too much is called off.
    async fn wears_out(&self, lease: &Lease) -> &'static str {
        loop {
            let limits = lease.limits();
            let patience = if lease.is_strange() { limits.stall } else { limits.pause };
            tokio::time::sleep((patience / 2).clamp(Duration::from_millis(10), LOOK)).await;
            if self.called_off.load(Ordering::Relaxed) > MOST_CALLED_OFF {
                return "resets";
            }
            if self.handed().values().any(|since| since.elapsed() > patience) {
                return "stalled";
            }
        }
    }
}

/// One request that is worked on.
struct Work {
    desk: Arc<Desk>,
    done: bool,
}

impl Drop for Work {
    fn drop(&mut self) {
        let count = |before: u32| Some(if self.done { before.saturating_sub(1) } else { before.saturating_add(1) });
        let _ = self.desk.called_off.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }
}

/// An answer's body that tells the desk when it waits for the other side: from each piece that it gives to the next that is
/// asked for.
///
/// It ends after the request's body. An answer that is whole while its request is not leaves clients (curl 7.88 is one) with
/// a stream that has ended and nothing that wakes them; and where the rest of the request is called off by a reset, they take
/// it for an error. So the last word of the answer comes when the rest of the request was read and thrown away, as over
/// HTTP/1.1.
struct Taken<B> {
    body: B,
    desk: Arc<Desk>,
    id: u64,
    /// When the request's body does.
    ends: CancellationToken,
    waits: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Taken<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let id = self.id;
        let polled =
            if self.body.is_end_stream() { Poll::Ready(None) } else { Pin::new(&mut self.body).poll_frame(cx) };
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.desk.handed().insert(id, Instant::now());
        } else {
            self.desk.handed().remove(&id);
        }
        if matches!(polled, Poll::Ready(None)) {
            ready!(self.waits.as_mut().poll(cx));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.ends.is_cancelled()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Taken<B> {
    fn drop(&mut self) {
        self.desk.handed().remove(&self.id);
    }
}

/// Serves the requests of one connection to its end.
pub(super) async fn hold<T, S, B>(stream: T, lease: &Lease, service: S, stop: CancellationToken)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let io = TokioIo::new(Paced::of_many(stream, lease.clone()));
    let desk = Arc::new(Desk::default());
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let (arriving, leaving, alone) = lease.begin();
        let ends = CancellationToken::new();
        let mut request = request.map(|body| Arriving::new(body, lease.clone(), arriving).telling(ends.clone()));
        lease.sign(&mut request, alone);
        let answer = service.call(request);
        let mut work = Work { desk: Arc::clone(&desk), done: false };
        async move {
            let response = answer.await?;
            work.done = true;
            let (desk, id) = (Arc::clone(&work.desk), work.desk.next.fetch_add(1, Ordering::Relaxed));
            let waits = Box::pin(ends.clone().cancelled_owned());
            Ok::<_, Infallible>(response.map(|body| Taken { body: Leaving::new(body, leaving), desk, id, ends, waits }))
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_pending_accept_reset_streams(MOST_RESET_UNSEEN)
        .max_local_error_reset_streams(MOST_RESET_UNSEEN)
        .max_header_list_size(MOST_AT_ONCE as u32)
        .max_send_buf_size(MOST_UNSENT)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            why = desk.wears_out(lease) => {
                lease.gives_up(why);
                return;
            }
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(listener = lease.listener(), from = %lease.from(), %error, "a connection broke");
    }
}

#[cfg(test)]
mod tests;

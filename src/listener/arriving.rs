//! The bodies of requests and answers, as this side gets and gives them.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::gate::{InHand, Lease};

type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a request. Where it is waited for longer than its sender may take, it ends with an error: a stranger must
/// keep up a rate, who has authenticated may pause. Time counts only while somebody here asks for the next piece.
pub struct Arriving {
    body: Incoming,
    lease: Lease,
    in_hand: Option<InHand>,
    /// Says to the answer's side that no more of it comes, or is wanted.
    ends: Option<DropGuard>,
    /// What the other side has made us wait in all, before this time.
    waited: Duration,
    bytes: u64,
    waits: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Arriving {
    pub(super) fn new(body: Incoming, lease: Lease, in_hand: InHand) -> Self {
        let in_hand = Some(in_hand).filter(|_| !body.is_end_stream());
        Self { body, lease, in_hand, ends: None, waited: Duration::ZERO, bytes: 0, waits: None }
    }

    /// Cancels `ends` once no more of it comes, or is wanted.
    pub(super) fn telling(mut self, ends: CancellationToken) -> Self {
        self.ends = Some(ends.drop_guard()).filter(|_| !self.body.is_end_stream());
        self
    }

    /// How much longer the next piece may take.
    fn patience(&self) -> Duration {
        let limits = self.lease.limits();
        if !self.lease.is_strange() {
            return limits.pause;
        }
        let earned = Duration::from_secs(self.bytes / limits.slowest.max(1));
        (limits.slack + earned).saturating_sub(self.waited)
    }

    fn came(&mut self) {
        if let Some((since, _)) = self.waits.take() {
            self.waited += since.elapsed();
            self.lease.waits(false);
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.came();
                self.bytes += frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.came();
                self.ends = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.came();
                (self.in_hand, self.ends) = (None, None);
                Poll::Ready(None)
            }
            Poll::Pending => {
                if self.waits.is_none() {
                    let now = Instant::now();
                    let until = Box::pin(tokio::time::sleep_until(now + self.patience()));
                    self.waits = Some((now, until));
                    self.lease.waits(true);
                }
                let Some((_, until)) = &mut self.waits else { return Poll::Pending };
                ready!(until.as_mut().poll(cx));
                let (strange, waited) = (self.lease.is_strange(), self.patience());
                self.came();
                self.lease.gives_up(if strange { "slow" } else { "paused" });
                let text = if strange {
                    "it came too slowly: send it in one go".to_owned()
                } else {
                    format!("nothing came for {} s", waited.as_secs())
                };
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, text).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.came();
    }
}

/// The body of an answer. Its end, or the connection's, is the end of the request.
pub(super) struct Leaving<B> {
    body: Pin<Box<B>>,
    in_hand: Option<InHand>,
}

impl<B: Body> Leaving<B> {
    pub(super) fn new(body: B, in_hand: InHand) -> Self {
        Self { body: Box::pin(body), in_hand: Some(in_hand) }
    }
}

impl<B: Body<Data = Bytes>> Body for Leaving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.in_hand = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

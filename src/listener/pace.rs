//! A connection whose other side must keep up: it sends heads in time, and reads what it asked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::gate::Lease;
use super::refusal::Refusal;

/// Fails a read that waits too long for a head, and a write that has made no progress for too long. Without the second a
/// client that stops reading in mid-download would hold its file and its memory for as long as it likes; TCP itself is
/// content with that.
pub(super) struct Paced<S> {
    stream: S,
    lease: Lease,
    /// Runs while a head is waited for.
    reading: Option<Pin<Box<Sleep>>>,
    /// Runs while a write waits.
    writing: Option<Pin<Box<Sleep>>>,
    /// Bytes come for many requests, and for none: they say nothing of a head.
    is_of_many: bool,
    /// What is sent in the place of hyper's own answer to a head that it cannot read.
    refusal: Option<Bytes>,
}

impl<S> Paced<S> {
    pub(super) const fn new(stream: S, lease: Lease) -> Self {
        Self { stream, lease, reading: None, writing: None, is_of_many: false, refusal: None }
    }

    /// Of a connection that carries many requests at once.
    pub(super) fn of_many(stream: S, lease: Lease) -> Self {
        Self { is_of_many: true, ..Self::new(stream, lease) }
    }

    /// Whether what is written may be hyper's own answer to a head that it cannot read.
    fn may_be_refusal(&self) -> bool {
        !self.is_of_many && self.lease.awaited().is_some()
    }

    fn patient_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The next request is waited for when the answer to the last one has left.
        let Some(deadline) = self.lease.awaited().filter(|_| self.writing.is_none()) else {
            self.reading = None;
            return Poll::Pending;
        };
        let timer = self.reading.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(cx));
        self.lease.gives_up("silent");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no whole head of a request came in time")))
    }

    fn patient_write(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.writing.take().is_some() {
                self.lease.waits(false);
                // The read that did not count its time meanwhile has to begin to.
                cx.waker().wake_by_ref();
            }
            return written;
        }
        if self.writing.is_none() {
            let limits = self.lease.limits();
            let limit = if self.lease.is_strange() { limits.stall } else { limits.pause };
            self.writing = Some(Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
            self.lease.waits(true);
        }
        let Some(timer) = &mut self.writing else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        self.lease.gives_up("stalled");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side has stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        match read {
            Poll::Pending => self.patient_read(cx),
            Poll::Ready(_) => {
                if buf.filled().len() > before && !self.is_of_many {
                    self.lease.heard();
                }
                self.reading = None;
                read
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.refusal.is_none()
            && self.may_be_refusal()
            && let Some(refusal) = Refusal::of(buf)
        {
            self.refusal = Some(refusal.page(&self.lease));
        }
        let Some(mut refusal) = self.refusal.take() else {
            let written = Pin::new(&mut self.stream).poll_write(cx, buf);
            return self.patient_write(cx, written);
        };
        while refusal.has_remaining() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &refusal);
            match self.patient_write(cx, written) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(bytes)) => refusal.advance(bytes),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.refusal = Some(refusal);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.refusal.is_some() || self.may_be_refusal() {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
            if self.refusal.is_some() || Refusal::of(first).is_some() {
                return self.poll_write(cx, first);
            }
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.patient_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

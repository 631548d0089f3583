//! A body in stretches: one extent after the other from the same stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// A body of which a stretch of bounded length is read at a time: as a stream it ends with the stretch, and goes on with the
/// next one.
pub struct Stretches<'a, S> {
    rest: &'a mut S,
    /// What came with the last frame and lies behind the stretch.
    ahead: Bytes,
    /// What the stretch may still take.
    left: u64,
    ended: bool,
}

impl<'a, S, E> Stretches<'a, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// `before` comes before the first byte of `body`.
    pub fn new(before: Bytes, body: &'a mut S) -> Self {
        Self { rest: body, ahead: before, left: 0, ended: false }
    }

    /// Begins the next stretch, of at most `bytes`.
    pub fn begin(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// Whether something lies behind the stretch. Waits for the next byte, or for the end.
    ///
    /// # Errors
    /// The body's own.
    pub async fn has_more(&mut self) -> Result<bool, E> {
        while self.ahead.is_empty() && !self.ended {
            match self.rest.next().await {
                Some(frame) => self.ahead = frame?,
                None => self.ended = true,
            }
        }
        Ok(!self.ahead.is_empty())
    }
}

impl<S, E> Stream for Stretches<'_, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Result<Bytes, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.left == 0 {
                return Poll::Ready(None);
            }
            if !this.ahead.is_empty() {
                let length = usize::try_from(this.left).unwrap_or(usize::MAX).min(this.ahead.len());
                this.left -= length as u64;
                return Poll::Ready(Some(Ok(this.ahead.split_to(length))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut *this.rest).poll_next(cx)) {
                Some(Ok(frame)) => this.ahead = frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => this.ended = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    #[tokio::test]
    async fn the_stretches_are_the_body() {
        let frames = [5_usize, 0, 7, 64, 1, 0, 23];
        let all: Vec<u8> = (0..frames.iter().sum::<usize>()).map(|at| at as u8).collect();
        for length in [1, 3, 10, 64, 99, 100, 101, 1000] {
            let mut left = Bytes::from(all.clone());
            let mut body = stream::iter(frames.map(|size| Ok::<_, Infallible>(left.split_to(size))));
            let mut stretches = Stretches::new(Bytes::from_static(b"ab"), &mut body);
            let mut found = Vec::new();
            loop {
                stretches.begin(length);
                let stretch: Vec<Bytes> = stretches.by_ref().map(|frame| frame.expect("whole")).collect().await;
                let stretch = stretch.concat();
                let more = stretches.has_more().await.expect("whole");
                assert!(stretch.len() as u64 == length || !more, "{length}");
                found.extend_from_slice(&stretch);
                if !more {
                    break;
                }
            }
            assert_eq!(found, [b"ab", &all[..]].concat(), "{length}");
        }
    }
}

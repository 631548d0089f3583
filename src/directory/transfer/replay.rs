//! The beginning of a body, kept until it is certain that it arrived somewhere: an upload whose file servers all fail
//! at once can then begin again on others, as long as it is not far.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

/// How many bytes are kept. A little more than an upload has taken from its client when it notices that nobody is
/// there, which is what its lanes' buffers hold.
pub const KEPT_BYTES: usize = 2 << 20;

/// A body that can be read from its beginning again until more than [`KEPT_BYTES`] of it were read.
pub struct Replay<'a, S> {
    rest: &'a mut S,
    /// Nothing once more has been read.
    kept: Option<Vec<Bytes>>,
    size: usize,
    /// How many of `kept` were given since the last rewinding.
    given: usize,
    ended: bool,
}

impl<'a, S> Replay<'a, S> {
    pub fn new(body: &'a mut S) -> Self {
        Self { rest: body, kept: Some(Vec::new()), size: 0, given: 0, ended: false }
    }

    /// Starts over from the first byte. False where it is too late for that.
    pub fn rewind(&mut self) -> bool {
        self.given = 0;
        self.kept.is_some()
    }
}

impl<S, E> Stream for Replay<'_, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Result<Bytes, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(again) = this.kept.as_ref().and_then(|kept| kept.get(this.given)) {
            this.given += 1;
            return Poll::Ready(Some(Ok(again.clone())));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut *this.rest).poll_next(cx));
        match &frame {
            Some(Ok(bytes)) => {
                this.size = this.size.saturating_add(bytes.len());
                this.given += 1;
                match &mut this.kept {
                    Some(kept) if this.size <= KEPT_BYTES => kept.push(bytes.clone()),
                    kept => *kept = None,
                }
            }
            Some(Err(_)) => this.kept = None,
            None => this.ended = true,
        }
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn what_was_read_is_read_again_and_too_much_is_not_kept() {
        let mut body = stream::iter([3, 2, 1].map(|at| Ok::<_, Infallible>(Bytes::from(vec![at; 10]))));
        let mut replay = Replay::new(&mut body);
        assert_eq!(replay.next().await.expect("a frame").expect("whole")[0], 3);
        for _ in 0..2 {
            assert!(replay.rewind());
            let frames: Vec<u8> = replay.by_ref().map(|frame| frame.expect("whole")[0]).collect().await;
            assert_eq!(frames, [3, 2, 1]);
        }
        let mut body = stream::iter([0, 1, 2].map(|_| Ok::<_, Infallible>(Bytes::from(vec![0; KEPT_BYTES / 2]))));
        let mut replay = Replay::new(&mut body);
        replay.next().await;
        replay.next().await;
        assert!(replay.rewind());
        assert_eq!(replay.by_ref().count().await, 3);
        assert!(!replay.rewind());
    }
}

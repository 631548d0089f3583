//! A body in units of 64 bytes: what is left over at its end waits for the rest.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

/// SHA-256 works on blocks of so many bytes, and extents but the last of a file are multiples of it.
const UNIT: usize = 64;

/// Gives as much of a body as makes whole units, and all of it where it reaches a given length.
pub struct Even<'a, S> {
    body: &'a mut S,
    /// Where the whole ends, counted from the first byte of `body`: what comes up to there is given, even or not.
    end: Option<u64>,
    /// What was taken from `body`.
    taken: u64,
    held: BytesMut,
    next: Option<Bytes>,
    ended: bool,
}

impl<'a, S, E> Even<'a, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    pub fn new(body: &'a mut S, end: Option<u64>) -> Self {
        Self { body, end, taken: 0, held: BytesMut::new(), next: None, ended: false }
    }

    /// Whether there is something to give. Waits for the first unit.
    ///
    /// # Errors
    /// The body's own.
    pub async fn has_some(&mut self) -> Result<bool, E> {
        while self.next.is_none() && !self.ended {
            match self.body.next().await {
                Some(frame) => self.take(frame?),
                None => self.ended = true,
            }
        }
        Ok(self.next.is_some())
    }

    /// What is left over.
    pub fn left(&self) -> Vec<u8> {
        self.held.to_vec()
    }

    fn take(&mut self, frame: Bytes) {
        self.taken += frame.len() as u64;
        let all = if self.held.is_empty() {
            frame
        } else {
            self.held.extend_from_slice(&frame);
            std::mem::take(&mut self.held).freeze()
        };
        let even = if self.end == Some(self.taken) { all.len() } else { all.len() - all.len() % UNIT };
        self.held.extend_from_slice(&all[even..]);
        if even > 0 {
            self.next = Some(all.slice(..even));
        }
    }
}

impl<S, E> Stream for Even<'_, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Result<Bytes, E>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.next.take() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut *this.body).poll_next(cx)) {
                Some(Ok(frame)) => this.take(frame),
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
    async fn units_are_whole_and_nothing_is_lost() {
        for (frames, end) in [
            (&[1_usize, 62, 1, 64, 65, 0, 200][..], None),
            (&[1, 62, 1, 64, 65, 0, 200], Some(393)),
            (&[10], None),
            (&[10], Some(10)),
            (&[10, 3], Some(100)),
            (&[], None),
        ] {
            let all: Vec<u8> = (0..frames.iter().sum::<usize>()).map(|at| at as u8).collect();
            let mut left = Bytes::from(all.clone());
            let mut body = stream::iter(frames.iter().map(|size| Ok::<_, Infallible>(left.split_to(*size))));
            let mut even = Even::new(&mut body, end);
            let some = even.has_some().await.expect("whole");
            let given: Vec<Bytes> = even.by_ref().map(|frame| frame.expect("whole")).collect().await;
            let given = given.concat();
            assert_eq!(some, !given.is_empty(), "{frames:?}");
            let whole = end == Some(all.len() as u64);
            assert!(whole || given.len() % UNIT == 0, "{frames:?}");
            assert_eq!([&given[..], &even.left()].concat(), all, "{frames:?}");
            assert!(if whole { even.left().is_empty() } else { even.left().len() < UNIT }, "{frames:?}");
        }
    }
}

//! The SHA-256 of a body on its way, and the cutting of its frames into pieces of bounded size.

use std::fmt::Display;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sha2::Digest as _;
use tokio::task::JoinHandle;

use super::upload::UploadError;
use crate::domain::Sha256;

/// The largest piece that is handed on, in bytes. The time that a file server is given to take one piece decides which
/// rate is too slow, so it should be small; each costs a wake-up of a task per server, so it should not be tiny.
/// Eyeballed: 128 KiB in 3 s is a rate at which no upload is of use.
pub(crate) const PIECE: usize = 128 * 1024;

/// Less than this is hashed where it is: about 20 µs, while handing it to another thread and back was measured at 75 µs
/// on two busy cores. Nothing else on the same worker waits longer than that for it.
const INLINE: usize = 32 * 1024;
/// So many bytes wait at most while the hashing thread has others.
const WAITING: usize = 4 * PIECE;
/// So many pieces wait at most: a body in frames of one byte each must not fill the memory with their handles.
const WAITING_PIECES: usize = 256;

/// SHA-256 of a stream, computed on the blocking pool while the next bytes arrive.
///
/// At most one job is out at a time, and it owns the state; what arrives meanwhile is gathered for the next one. So an
/// upload whose client is slow or pauses holds no thread, and a small body never leaves its task.
/// Measured with the SHA extensions: 1.6 GB/s, the same as of one core that does nothing else.
pub(crate) struct Digest {
    state: State,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

enum State {
    Idle(sha2::Sha256),
    Busy(JoinHandle<sha2::Sha256>),
    /// Only while the state is being exchanged, and after the runtime refused a job.
    Lost,
}

/// The runtime is shutting down and took the hash with it.
#[derive(Debug)]
pub(crate) struct Stopping;

impl Digest {
    pub(crate) fn new() -> Self {
        Self { state: State::Idle(sha2::Sha256::default()), waiting: Vec::new(), waiting_bytes: 0 }
    }

    /// Takes the next bytes. Waits only while too many others do.
    pub(crate) async fn update(&mut self, piece: Bytes) -> Result<(), Stopping> {
        self.waiting_bytes += piece.len();
        self.waiting.push(piece);
        if let State::Busy(job) = &self.state
            && !job.is_finished()
            && self.waiting_bytes < WAITING
            && self.waiting.len() < WAITING_PIECES
        {
            return Ok(());
        }
        self.settle().await?;
        self.start();
        Ok(())
    }

    /// The digest of all that was taken.
    pub(crate) async fn finish(mut self) -> Result<Sha256, Stopping> {
        self.settle().await?;
        self.start();
        self.settle().await?;
        match self.state {
            State::Idle(hash) => Ok(Sha256(hash.finalize().into())),
            State::Busy(_) | State::Lost => Err(Stopping),
        }
    }

    /// Waits for the job that is out, if there is one.
    async fn settle(&mut self) -> Result<(), Stopping> {
        if let State::Busy(job) = &mut self.state {
            match job.await {
                Ok(hash) => self.state = State::Idle(hash),
                Err(_) => self.state = State::Lost,
            }
        }
        if matches!(self.state, State::Lost) { Err(Stopping) } else { Ok(()) }
    }

    /// Hashes what has gathered: here if it is little, else on the blocking pool.
    fn start(&mut self) {
        let pieces = std::mem::take(&mut self.waiting);
        let bytes = std::mem::take(&mut self.waiting_bytes);
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Idle(hash) if bytes < INLINE => State::Idle(add(hash, &pieces)),
            State::Idle(hash) => State::Busy(tokio::task::spawn_blocking(move || add(hash, &pieces))),
            other => other,
        };
    }
}

fn add(mut hash: sha2::Sha256, pieces: &[Bytes]) -> sha2::Sha256 {
    for piece in pieces {
        hash.update(piece);
    }
    hash
}

/// Cuts `frame` into pieces of at most [`PIECE`] bytes, by reference.
pub(crate) fn pieces(mut frame: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let length = frame.len().min(PIECE);
        (length > 0).then(|| frame.split_to(length))
    })
}

/// What a body came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub size: u64,
    pub sha256: Sha256,
}

/// Drains a body of at most `max_bytes` for its size and hash alone: for the repetition of a write that has taken effect
/// already, whose body must be told from another one.
///
/// # Errors
/// When the body breaks off or is larger.
pub async fn hash_only<E: Display>(
    body: impl Stream<Item = Result<Bytes, E>>,
    max_bytes: u64,
) -> Result<Summary, UploadError> {
    let mut body = pin!(body);
    let mut digest = Digest::new();
    let mut size = 0_u64;
    while let Some(frame) = body.next().await {
        let frame = frame.map_err(|error| UploadError::ClientBroke(error.to_string()))?;
        size = size.saturating_add(frame.len() as u64);
        if size > max_bytes {
            return Err(UploadError::TooLarge);
        }
        digest.update(frame).await?;
    }
    Ok(Summary { size, sha256: digest.finish().await? })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn body(frames: &[usize]) -> (Vec<u8>, Vec<Result<Bytes, String>>) {
        let mut all = Vec::new();
        let mut parts = Vec::new();
        for (at, &length) in frames.iter().enumerate() {
            let frame: Vec<u8> = (0..length).map(|i| (i * 31 + at * 7) as u8).collect();
            all.extend_from_slice(&frame);
            parts.push(Ok(Bytes::from(frame)));
        }
        (all, parts)
    }

    #[tokio::test]
    async fn the_digest_is_that_of_the_bytes_in_order() {
        let tiny = vec![1; 5_000];
        let huge = [3 * 1024 * 1024, 0, 1, INLINE, INLINE - 1, WAITING + 1, 7];
        for frames in [&[][..], &[0], &[1], &tiny, &huge] {
            let (all, parts) = body(frames);
            let summary = hash_only(stream::iter(parts), u64::MAX).await.expect("a whole body");
            assert_eq!(summary.size, all.len() as u64);
            assert_eq!(summary.sha256.0, <[u8; 32]>::from(sha2::Sha256::digest(&all)));
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_or_breaks_off_has_no_digest() {
        let (_, parts) = body(&[5, 6]);
        assert!(hash_only(stream::iter(parts.clone()), 11).await.is_ok());
        assert!(matches!(hash_only(stream::iter(parts.clone()), 10).await, Err(UploadError::TooLarge)));
        let broken = parts.into_iter().chain([Err("gone".to_owned())]);
        assert!(
            matches!(hash_only(stream::iter(broken), 11).await, Err(UploadError::ClientBroke(why)) if why == "gone")
        );
    }

    #[test]
    fn pieces_are_bounded_and_whole() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 3] {
            let frame = Bytes::from(vec![9_u8; length]);
            let cut: Vec<_> = pieces(frame).collect();
            assert!(cut.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
            assert_eq!(cut.iter().map(Bytes::len).sum::<usize>(), length);
        }
    }
}

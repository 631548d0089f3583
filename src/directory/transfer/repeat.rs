//! The repetition of a write that has taken effect already: its body is only told from another one.

use std::fmt::Display;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::digest::Digest;
use super::upload::UploadError;
use crate::domain::Sha256;

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

    use sha2::Digest as _;

    use super::*;
    use crate::directory::transfer::digest::{INLINE, PIECE, WAITING, pieces};

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

//! Bytes that are known from a seed and an offset, so that a test need not hold what it checks; and dice with a seed.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use sha2::Digest;

use ringmaster::domain::Sha256;

/// Dice. `RINGMASTER_TEST_SEED` sets the seed, so that a failure can be played again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(what: &str) -> Self {
        let seed = match std::env::var("RINGMASTER_TEST_SEED") {
            Ok(text) => text.parse().expect("a number"),
            Err(_) => std::time::UNIX_EPOCH.elapsed().expect("after 1970").subsec_nanos().into(),
        };
        eprintln!("{what}: play it again with RINGMASTER_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// From 0 to `bound` - 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A file that exists only as its seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) size: u64,
}

impl Content {
    pub(crate) fn bytes(self, start: u64, end: u64) -> Bytes {
        let mut out = Vec::with_capacity(usize::try_from(end - start).expect("it fits"));
        let mut word = start / 8;
        while (out.len() as u64) < end - start {
            let bytes = mix(self.seed ^ word.wrapping_mul(0x2545_f491_4f6c_dd1d)).to_le_bytes();
            let skip = usize::try_from((word * 8).max(start) - word * 8).expect("below eight");
            let left = usize::try_from(end - start).expect("it fits") - out.len();
            out.extend_from_slice(&bytes[skip..(skip + left).min(8)]);
            word += 1;
        }
        Bytes::from(out)
    }

    pub(crate) fn sha256(self) -> Sha256 {
        let mut hash = sha2::Sha256::new();
        let mut at = 0;
        while at < self.size {
            let end = (at + 65_536).min(self.size);
            hash.update(self.bytes(at, end));
            at = end;
        }
        Sha256(hash.finalize().into())
    }

    /// The whole in frames of `frame` bytes.
    pub(crate) fn body(self, frame: u64) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Unpin + 'static {
        self.part(self.size, frame)
    }

    /// The first `end` bytes in frames of `frame` bytes.
    pub(crate) fn part(
        self,
        end: u64,
        frame: u64,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Unpin + 'static {
        stream::unfold(0, move |at| async move {
            let next = (at + frame).min(end);
            (at < end).then(|| (Ok(self.bytes(at, next)), next))
        })
        .boxed()
    }
}

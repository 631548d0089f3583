//! The only reader of time and randomness for whatever is replicated or signed. A simulation puts its own in place.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time and randomness.
pub trait Clock: Send + Sync + 'static {
    /// Time since some fixed moment of this process; never runs backwards and no one sets it.
    fn monotonic(&self) -> Duration;
    /// Milliseconds since the Unix epoch by the machine's wall clock, which may jump.
    fn wall_ms(&self) -> u64;
    /// Fills `bytes` with randomness fit for keys.
    fn fill_random(&self, bytes: &mut [u8]);
}

/// A shared clock, with what is commonly asked of one.
#[derive(Clone)]
pub struct SharedClock(Arc<dyn Clock>);

impl SharedClock {
    pub fn new(clock: impl Clock) -> Self {
        Self(Arc::new(clock))
    }

    /// The machine's own.
    pub fn system() -> Self {
        Self::new(SystemClock { origin: Instant::now() })
    }

    pub fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    pub fn wall_ms(&self) -> u64 {
        self.0.wall_ms()
    }

    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_random(&mut bytes);
        bytes
    }

    /// A fresh 128-bit id. Two calls never give the same one, for any practical number of calls.
    pub fn random_u128(&self) -> u128 {
        u128::from_be_bytes(self.random())
    }
}

impl fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedClock")
    }
}

struct SystemClock {
    origin: Instant,
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the kernel gives random bytes on every system that this runs on");
    }
}

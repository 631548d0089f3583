//! The only reader of time and randomness for whatever is replicated or signed. A simulation puts its own in place.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
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

/// By how many milliseconds a machine's clock may be off before it is said. Eyeballed: without NTP a clock gets there in
/// weeks.
pub const WRONG_MS: u64 = 30_000;

/// A shared clock, with what is commonly asked of one.
#[derive(Clone)]
pub struct SharedClock {
    own: Arc<dyn Clock>,
    agreed: Arc<Agreed>,
}

/// What the cluster's machines agree on.
#[derive(Default)]
struct Agreed {
    /// By how many milliseconds their time is ahead of this machine's clock.
    ahead_ms: AtomicI64,
    said: AtomicBool,
}

impl SharedClock {
    pub fn new(clock: impl Clock) -> Self {
        Self { own: Arc::new(clock), agreed: Arc::default() }
    }

    /// The machine's own.
    pub fn system() -> Self {
        Self::new(SystemClock { origin: Instant::now() })
    }

    pub fn monotonic(&self) -> Duration {
        self.own.monotonic()
    }

    pub fn wall_ms(&self) -> u64 {
        self.own.wall_ms()
    }

    /// Milliseconds since the Unix epoch by the time that the cluster's machines agree on: for all that passes from one
    /// machine to another. This machine's own clock where nobody has told yet.
    pub fn agreed_ms(&self) -> u64 {
        self.wall_ms().saturating_add_signed(self.ahead_ms())
    }

    /// By how many milliseconds the agreed time is ahead of this machine's clock.
    pub fn ahead_ms(&self) -> i64 {
        self.agreed.ahead_ms.load(Ordering::Relaxed)
    }

    /// Takes what was found out about the agreed time, and from whom. Says so once when this machine's clock is wrong, and
    /// when it is right again.
    pub fn agree(&self, ahead_ms: i64, with: &str) {
        self.agreed.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        let wrong = ahead_ms.unsigned_abs() > WRONG_MS;
        if self.agreed.said.swap(wrong, Ordering::Relaxed) == wrong {
            return;
        }
        let (seconds, way) = (ahead_ms.unsigned_abs() / 1000, if ahead_ms > 0 { "behind" } else { "ahead of" });
        if wrong {
            tracing::warn!(
                seconds,
                "this machine's clock is {seconds} s {way} that of {with}: set it, best by NTP; the cluster goes by the time of most until then"
            );
        } else {
            tracing::info!("this machine's clock agrees with that of {with} again");
        }
    }

    /// Takes the agreed time itself, as somebody has told it a moment ago.
    pub fn agreed_is(&self, now_ms: u64, with: &str) {
        let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        self.agree(signed(now_ms).saturating_sub(signed(self.wall_ms())), with);
    }

    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.own.fill_random(&mut bytes);
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

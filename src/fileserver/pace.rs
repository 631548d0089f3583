//! Keeping to a number of bytes per second.

use std::time::Duration;

use tokio::time::Instant;

/// Whoever was held up may make up for that much time, no more.
const MAX_ARREARS: Duration = Duration::from_secs(1);

/// Spreads work over time: after each piece of it, one waits until it may go on.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    due: Instant,
}

impl Pace {
    /// `bytes_per_second` is at least one.
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), due: Instant::now() }
    }

    pub(super) fn change(&mut self, bytes_per_second: u64) {
        self.bytes_per_second = bytes_per_second.max(1);
    }

    /// Waits until so many bytes more were allowed. They are counted at once, so that a wait which is given up is owed
    /// by the next.
    pub(super) async fn spend(&mut self, bytes: u64) {
        let now = Instant::now();
        let due = self.owe(bytes, now);
        if due > now {
            tokio::time::sleep_until(due).await;
        }
    }

    fn owe(&mut self, bytes: u64, now: Instant) -> Instant {
        let earliest = now.checked_sub(MAX_ARREARS).unwrap_or(now);
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        self.due = self.due.max(earliest) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_take_the_time_that_they_are_given() {
        let mut pace = Pace::new(1000);
        let begun = pace.due;
        assert_eq!(pace.owe(500, begun), begun + Duration::from_millis(500));
        assert_eq!(pace.owe(4500, begun), begun + Duration::from_secs(5), "what was not waited for is still owed");
        let later = begun + Duration::from_secs(60);
        assert_eq!(pace.owe(1000, later), later, "a second of lost time is made up for");
        assert_eq!(pace.owe(1000, later), later + Duration::from_secs(1), "and no more");
    }
}

//! How many accounts an address has asked for within an hour, where anybody may make one.
//!
//! It stands in this node's memory alone, as wrong passwords do: an address gets the number of each node, and a node that
//! starts again begins anew. Behind a proxy that is not trusted all strangers are one address.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::{ApiError, ApiResult};
use super::guesses::Bounded;
use crate::listener::Block;
use crate::protocol::problem::Code;

const WINDOW: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Signups {
    most: u64,
    known: Mutex<Bounded<Block, Window>>,
}

/// What an address has asked for since then.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    begun: Option<Instant>,
    count: u64,
}

impl Signups {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, known: Mutex::default() }
    }

    /// Counts a signup, before anything is done for it.
    ///
    /// # Errors
    /// When the address has to wait.
    pub(crate) fn begin(&self, address: Option<Block>, now: Instant) -> ApiResult<()> {
        let Some(address) = address else { return Ok(()) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = None;
        known.change(&address, WINDOW, now, |window| {
            let begun = window.begun.filter(|begun| now.duration_since(*begun) < WINDOW);
            if begun.is_none() {
                *window = Window { begun: Some(now), count: 0 };
            }
            if window.count < self.most {
                window.count += 1;
            } else {
                refused = begun.map(|begun| WINDOW.saturating_sub(now.duration_since(begun)));
            }
        });
        let detail = "too many accounts were asked for from this address: wait for as long as Retry-After says, or ask an \
                      admin for an invitation";
        refused.map_or(Ok(()), |wait| Err(ApiError::new(Code::TooManyRequests, detail).after(wait)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Option<Block> {
        Some(Block::of(std::net::IpAddr::from([10, 0, 0, last])))
    }

    #[test]
    fn an_address_waits_until_its_hour_is_over_and_others_do_not() {
        let (signups, begun) = (Signups::new(3), Instant::now());
        for second in 0..3 {
            signups.begin(address(1), begun + Duration::from_secs(second)).expect("so many are free");
        }
        let wait = |at| signups.begin(address(1), at).err().and_then(|error| error.wait());
        let first = wait(begun + Duration::from_secs(10)).expect("it waits");
        assert_eq!(first, WINDOW - Duration::from_secs(10));
        // Asking does not prolong it.
        assert_eq!(wait(begun + Duration::from_secs(20)), Some(WINDOW - Duration::from_secs(20)));
        assert!(signups.begin(address(2), begun).is_ok());
        assert!(signups.begin(address(1), begun + WINDOW).is_ok());
    }
}

//! Who has guessed wrong passwords, and has to wait.
//!
//! Failures are counted by account and by address. Beyond a few, the next try has to wait, each time twice as long. An
//! address from which somebody has logged in with an account is never refused that account: nobody locks anybody out by
//! guessing at his name. For how long that holds, and all of this, stands in this node's memory alone: a guesser gets the
//! budget of each node, and a node that starts again begins anew.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::{ApiError, ApiResult};
use crate::config::Logins;
use crate::listener::Block;
use crate::protocol::problem::Code;
use crate::telemetry::{Counter, EncodeLabelSet, Family, Metrics};

/// The wait after the first failure too many.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// For how long an address is known to be a user's.
const KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// Accounts, addresses and pairs of them that are remembered; the oldest are forgotten for others. A few megabytes.
const REMEMBERED: usize = 16_384;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    by: &'static str,
}

/// The memory of a node.
#[derive(Debug)]
pub(crate) struct Guesses {
    rules: Logins,
    known: Mutex<Known>,
    failures: Counter,
    refused: Family<By, Counter>,
}

#[derive(Debug, Default)]
struct Known {
    accounts: Bounded<String, Tally>,
    addresses: Bounded<Block, Tally>,
    pairs: Bounded<(String, Block), ()>,
}

/// Wrong passwords in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    failures: u64,
    /// Tries whose passwords are being looked at.
    in_hand: u64,
    until: Option<Instant>,
}

impl Tally {
    /// How long a try has to wait.
    fn wait(&self, free: u64, now: Instant) -> Option<Duration> {
        if let Some(until) = self.until.filter(|until| *until > now) {
            return Some(until - now);
        }
        // As many at once as are free would otherwise all be looked at before the first has failed.
        let left = free.saturating_sub(self.failures).max(1);
        (self.in_hand >= left).then_some(FIRST_WAIT)
    }

    fn failed(&mut self, free: u64, longest: Duration, now: Instant) {
        self.failures += 1;
        if let Some(over) = self.failures.checked_sub(free) {
            let doubled = FIRST_WAIT.saturating_mul(1 << over.min(20));
            self.until = Some(now + doubled.min(longest));
        }
    }
}

/// A map that forgets what was not touched for longest.
#[derive(Debug)]
pub(super) struct Bounded<K, V>(HashMap<K, (Instant, V)>);

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash, V: Copy + Default> Bounded<K, V> {
    /// What is remembered, if it was touched since then.
    fn get(&self, key: &K, within: Duration, now: Instant) -> Option<V> {
        self.0.get(key).filter(|(touched, _)| now.duration_since(*touched) < within).map(|(_, value)| *value)
    }

    pub(super) fn change(&mut self, key: &K, within: Duration, now: Instant, how: impl FnOnce(&mut V)) {
        let mut value = self.get(key, within, now).unwrap_or_default();
        how(&mut value);
        self.0.insert(key.clone(), (now, value));
        if self.0.len() > REMEMBERED {
            // A quarter at once, so that not each one costs a walk.
            let mut times: Vec<Instant> = self.0.values().map(|(touched, _)| *touched).collect();
            let (_, oldest, _) = times.select_nth_unstable(REMEMBERED / 4);
            let oldest = *oldest;
            self.0.retain(|_, (touched, _)| *touched > oldest);
        }
    }
}

/// One try, from before its password is looked at to what came of it.
#[derive(Debug)]
pub(crate) struct Try<'a> {
    guesses: &'a Guesses,
    account: String,
    address: Option<Block>,
}

impl Guesses {
    pub(crate) fn new(rules: Logins, metrics: &Metrics) -> Self {
        Self {
            rules,
            known: Mutex::default(),
            failures: metrics.counter("ringmaster_login_failures_total", "Logins with a wrong name or password"),
            refused: metrics.counters(
                "ringmaster_logins_refused_total",
                "Logins that were refused unseen, after too many failures of the account or the address",
            ),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// When the account or the address has to wait: whether or not there is such an account, so that it does not tell.
    pub(crate) fn begin(&self, account: &str, address: Option<Block>, now: Instant) -> ApiResult<Try<'_>> {
        let (account, longest) = (account.to_owned(), self.rules.longest_wait);
        let mut known = self.known();
        let pair = address.map(|address| (account.clone(), address));
        let is_known = pair.is_some_and(|pair| known.pairs.get(&pair, KNOWN_FOR, now).is_some());
        if !is_known {
            let of_account = known.accounts.get(&account, longest, now).unwrap_or_default();
            let of_address =
                address.and_then(|address| known.addresses.get(&address, longest, now)).unwrap_or_default();
            for (by, tally, free) in [
                ("account", of_account, self.rules.account_failures),
                ("address", of_address, self.rules.address_failures),
            ] {
                if let Some(wait) = tally.wait(free, now) {
                    self.refused.get_or_create(&By { by }).inc();
                    return Err(ApiError::new(
                        Code::TooManyRequests,
                        "too many logins have failed: wait for as long as Retry-After says, then try again",
                    )
                    .after(wait));
                }
            }
        }
        known.accounts.change(&account, longest, now, |tally| tally.in_hand += 1);
        if let Some(address) = address {
            known.addresses.change(&address, longest, now, |tally| tally.in_hand += 1);
        }
        Ok(Try { guesses: self, account, address })
    }
}

impl Try<'_> {
    /// The password was right or wrong.
    pub(crate) fn ends(self, right: bool, now: Instant) {
        let rules = &self.guesses.rules;
        let mut known = self.guesses.known();
        if !right {
            self.guesses.failures.inc();
        }
        let (account, longest) = (rules.account_failures, rules.longest_wait);
        known.accounts.change(&self.account, longest, now, |tally| {
            // Who knows the password is no guesser. The address may be a guesser's all the same.
            if right { (tally.failures, tally.until) = (0, None) } else { tally.failed(account, longest, now) }
        });
        let Some(address) = self.address else { return };
        if right {
            known.pairs.change(&(self.account.clone(), address), KNOWN_FOR, now, |()| {});
        } else {
            let free = rules.address_failures;
            known.addresses.change(&address, longest, now, |tally| tally.failed(free, longest, now));
        }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        let (longest, now) = (self.guesses.rules.longest_wait, Instant::now());
        let mut known = self.guesses.known();
        known.accounts.change(&self.account, longest, now, |tally| tally.in_hand = tally.in_hand.saturating_sub(1));
        if let Some(address) = self.address {
            known.addresses.change(&address, longest, now, |tally| tally.in_hand = tally.in_hand.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesses() -> Guesses {
        let longest_wait = Duration::from_secs(60);
        Guesses::new(
            Logins { account_failures: 3, address_failures: 6, longest_wait, address_signups: 20 },
            &Metrics::new(),
        )
    }

    fn address(last: u8) -> Option<Block> {
        Some(Block::of(std::net::IpAddr::from([10, 0, 0, last])))
    }

    fn wait(guesses: &Guesses, account: &str, from: Option<Block>, now: Instant) -> Option<Duration> {
        let tried = guesses.begin(account, from, now);
        tried.err().map(|error| {
            assert_eq!(error.code, Code::TooManyRequests);
            error.wait().expect("it says for how long")
        })
    }

    fn fail(guesses: &Guesses, account: &str, from: Option<Block>, now: Instant) {
        guesses.begin(account, from, now).expect("it may try").ends(false, now);
    }

    #[test]
    fn waits_grow_and_the_owner_is_never_refused_where_he_was_before() {
        let (guesses, mut now) = (guesses(), Instant::now());
        guesses.begin("anna", address(1), now).expect("it may try").ends(true, now);
        for _ in 0..3 {
            fail(&guesses, "anna", address(2), now);
        }
        let mut last = Duration::ZERO;
        for _ in 0..3 {
            let waits = wait(&guesses, "anna", address(3), now).expect("whatever the address");
            assert!(waits > last);
            (last, now) = (waits, now + waits);
            fail(&guesses, "anna", address(3), now);
        }
        assert_eq!(wait(&guesses, "anna", address(1), now), None);
        assert_eq!(wait(&guesses, "berta", address(3), now), None);
        // The right password ends it for all.
        guesses.begin("anna", address(1), now).expect("she may try").ends(true, now);
        assert_eq!(wait(&guesses, "anna", address(4), now), None);
    }

    #[test]
    fn an_address_that_guesses_at_many_names_waits() {
        let (guesses, now) = (guesses(), Instant::now());
        for name in ["a", "b", "c", "d", "e", "f"] {
            fail(&guesses, name, address(2), now);
        }
        assert!(wait(&guesses, "anna", address(2), now).is_some());
        assert_eq!(wait(&guesses, "anna", address(1), now), None);
        let later = now + Duration::from_secs(61);
        assert_eq!(wait(&guesses, "anna", address(2), later), None, "it is forgotten");
    }

    #[test]
    fn no_more_are_looked_at_at_once_than_may_fail() {
        let (guesses, now) = (guesses(), Instant::now());
        let tries: Vec<_> = (0..3).map(|_| guesses.begin("anna", address(2), now).expect("it may try")).collect();
        assert!(wait(&guesses, "anna", address(3), now).is_some());
        drop(tries);
        assert_eq!(wait(&guesses, "anna", address(3), now), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut bounded = Bounded::<usize, ()>::default();
        let begun = Instant::now();
        for key in 0..3 * REMEMBERED {
            bounded.change(&key, KNOWN_FOR, begun + Duration::from_millis(key as u64), |()| {});
        }
        assert!(bounded.0.len() <= REMEMBERED && bounded.0.contains_key(&(3 * REMEMBERED - 1)));
    }
}

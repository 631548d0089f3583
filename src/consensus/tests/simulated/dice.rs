//! All chance of a simulated run, from one seed.

use std::time::Duration;

/// SplitMix64: a counter, mixed. Two dice of different seeds have nothing in common.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// True in so many of a thousand cases.
    pub(crate) fn per_mille(&mut self, cases: u64) -> bool {
        self.below(1000) < cases
    }

    /// A time between two.
    pub(crate) fn time(&mut self, from: Duration, to: Duration) -> Duration {
        let micros = u64::try_from((to - from).as_micros()).unwrap();
        from + Duration::from_micros(self.below(micros + 1))
    }

    /// Dice of their own for a part of the run, which do not depend on what the other parts draw.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.draw())
    }
}

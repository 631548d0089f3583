//! Choices that differ from run to run, and are the same for the same seed.

/// xorshift (Marsaglia, "Xorshift RNGs", Journal of Statistical Software 2003).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Seeds that are close to one another begin far apart. Zero would stay zero.
        let mixed = (seed ^ seed >> 30).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self((mixed ^ mixed >> 27).max(1))
    }

    /// Of `RINGMASTER_TEST_SEED`, or else of this process; the seed is printed. `salt` says what the dice are for, and
    /// tells those of one run apart.
    pub(crate) fn of_this_run(salt: &str) -> Self {
        let seed = match std::env::var("RINGMASTER_TEST_SEED") {
            Ok(given) => given.parse().unwrap_or_else(|_| panic!("RINGMASTER_TEST_SEED is a number, not {given:?}")),
            Err(_) => u64::from(std::process::id()),
        };
        println!("RINGMASTER_TEST_SEED={seed} for {salt}");
        Self::new(salt.bytes().fold(seed, |mixed, byte| mixed.rotate_left(8) ^ u64::from(byte)))
    }

    /// A number from 0 on, below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
    /// The same for a position among so many.
    pub(crate) fn pick(&mut self, among: usize) -> usize {
        self.below(among as u64) as usize
    }
}

//! How often contents are named.

use crate::domain::ContentId;

/// How often contents are said to be named. The sums are of a mix of the ids, so that a reference to one content cannot
/// stand for one to another; a map of all contents would not fit into memory.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Refs(u128);

impl Refs {
    pub(super) fn add(&mut self, id: ContentId, times: u64) {
        self.0 = self.0.wrapping_add(mix(id.0).wrapping_mul(u128::from(times)));
    }
}

/// Spreads ids that may be small numbers: the finalizer of MurmurHash3 on both halves, each with the other mixed in.
fn mix(id: u128) -> u128 {
    let finish = |mut half: u64| {
        half = (half ^ (half >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        half = (half ^ (half >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        half ^ (half >> 33)
    };
    let (high, low) = ((id >> 64) as u64, id as u64);
    let low = finish(low.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ finish(high));
    u128::from(finish(high ^ low)) << 64 | u128::from(low)
}

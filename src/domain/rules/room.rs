//! What a user may have.

use crate::domain::RejectionKind;
use crate::domain::rows::Usage;
use crate::domain::stop::{Stop, reject};
use crate::domain::terms::Policy;

/// How many bytes more may come into a user's tree.
pub(crate) fn room(usage: &Usage, policy: &Policy) -> u64 {
    match usage.max_bytes.unwrap_or(policy.quota_bytes) {
        0 => u64::MAX,
        most => most.saturating_sub(usage.bytes),
    }
}

/// Whether an update keeps what was there.
pub(crate) fn keeps_versions(policy: &Policy) -> bool {
    policy.versions_keep > 0 && policy.versions_ms > 0
}

/// Refuses what would exceed the bounds of a tree's owner. What brings no more of a kind is not held to the bound of that
/// kind, so that a bound below what is there takes nothing away.
pub(crate) fn check_room(usage: &Usage, policy: &Policy, bytes: u64, files: u64) -> Result<(), Stop> {
    let over = |used: u64, more: u64, own: Option<u64>, default: u64| {
        let most = own.unwrap_or(default);
        more > 0 && most > 0 && used.saturating_add(more) > most
    };
    if over(usage.bytes, bytes, usage.max_bytes, policy.quota_bytes)
        || over(usage.files, files, usage.max_files, policy.quota_files)
    {
        let detail = "the quota of this tree's owner is used up: delete something for good (old versions and the trash \
                      count), or ask the admin for more";
        return Err(reject(RejectionKind::QuotaExceeded, detail));
    }
    Ok(())
}

//! Bootstrap and policy.

use super::Change;
use crate::domain::command::Policy;
use crate::domain::rows::{ClusterInfo, SweepKind};
use crate::domain::stop::{Stop, require};
use crate::domain::{ClusterId, Outcome, RejectionKind, tables};

/// The version of the tables that this program starts a cluster with, and the newest that it knows.
pub const SCHEMA_VERSION: u64 = 1;

/// The longest time that a policy may name: ten years. It keeps sums of times far from overflow.
const MAX_POLICY_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

impl Change<'_> {
    pub(super) fn bootstrap(&mut self, cluster_id: ClusterId, name: &str, policy: &Policy) -> Result<Outcome, Stop> {
        if tables::cluster(self.store)?.is_some() {
            return Ok(Outcome::Done);
        }
        let named = !name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control);
        require(named, RejectionKind::InvalidRequest, "a cluster's name is 1 to 255 bytes without control characters")?;
        check_policy(policy)?;
        tables::put_cluster(self.store, &ClusterInfo { cluster_id, name: name.to_owned() })?;
        tables::put_schema_version(self.store, SCHEMA_VERSION)?;
        tables::put_policy(self.store, policy)?;
        Ok(Outcome::Done)
    }

    pub(super) fn set_policy(&mut self, policy: &Policy) -> Result<Outcome, Stop> {
        check_policy(policy)?;
        tables::put_policy(self.store, policy)?;
        if policy.copies != self.policy.copies {
            self.begin(SweepKind::Copies)?;
        }
        Ok(Outcome::Done)
    }
}

pub(super) fn check_policy(policy: &Policy) -> Result<(), Stop> {
    let invalid = RejectionKind::InvalidRequest;
    require((1..=u32::from(tables::MAX_COPIES)).contains(&policy.copies), invalid, "copies is 1 to 5")?;
    let bounded = [policy.garbage_linger_ms, policy.garbage_grace_ms].iter().all(|ms| *ms <= MAX_POLICY_MS);
    require(bounded, invalid, "garbage linger and grace are at most ten years")?;
    let lasting = [policy.operation_ttl_ms, policy.session_ttl_ms, policy.receipt_ttl_ms];
    let bounded = lasting.iter().all(|ms| (1000..=MAX_POLICY_MS).contains(ms));
    require(policy.rebalance_percent <= 1000, invalid, "rebalance_percent is 0, for never, to 1000")?;
    require(bounded, invalid, "operations, sessions and receipts hold from one second to ten years")
}

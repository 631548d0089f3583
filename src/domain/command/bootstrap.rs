use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::rows::ClusterInfo;
use crate::domain::stop::{Stop, require};
use crate::domain::terms::Policy;
use crate::domain::{ClusterId, Outcome, RejectionKind, rules, tables};

record! {
    /// The first command of a cluster. A second one changes nothing.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Bootstrap as "bootstrap" {
        pub cluster_id: ClusterId = 1,
        /// 1 to 255 bytes without control characters.
        pub name: String = 2,
        pub policy: Policy = 3,
    }
}

impl Act for Bootstrap {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        if tables::cluster(change.store)?.is_some() {
            return Ok(Outcome::Done);
        }
        let named = !self.name.is_empty() && self.name.len() <= 255 && !self.name.chars().any(char::is_control);
        require(named, RejectionKind::InvalidRequest, "a cluster's name is 1 to 255 bytes without control characters")?;
        rules::check_policy(&self.policy)?;
        tables::put_cluster(change.store, &ClusterInfo { cluster_id: self.cluster_id, name: self.name.clone() })?;
        tables::put_schema(change.store, Schema::FIRST)?;
        tables::put_policy(change.store, &self.policy)?;
        Ok(Outcome::Done)
    }
}

use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::transparent;
use crate::domain::rows::SweepKind;
use crate::domain::stop::Stop;
use crate::domain::terms::Policy;
use crate::domain::{Outcome, rules, tables};

/// Changes the policy as a whole. On the wire it is the policy itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPolicy(pub Policy);

transparent!(SetPolicy, Policy);

impl Act for SetPolicy {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = false;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let Self(policy) = self;
        rules::check_policy(policy)?;
        tables::put_policy(change.store, policy)?;
        if policy.copies != change.policy.copies {
            change.begin_sweep(SweepKind::Copies)?;
        }
        Ok(Outcome::Done)
    }
}

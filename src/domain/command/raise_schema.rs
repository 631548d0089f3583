use super::{Act, Schema};
use crate::domain::change::Change;
use crate::domain::record::declare::record;
use crate::domain::record::{Payload, Value, Wire, Writer};
use crate::domain::stop::{Stop, require};
use crate::domain::{Fault, Outcome, RejectionKind, tables};

record! {
    /// From here on the cluster uses the commands, fields and tables of the next schema. The leader proposes it when all
    /// members have promised to understand it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RaiseSchema as "rise of the schema" {
        pub to: Raised = 1,
    }
}

/// A schema that a cluster is to rise to. A program that does not know it cannot read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised(pub Schema);

impl Value for Raised {
    const WIRE: Wire = Schema::WIRE;

    fn put(&self, out: &mut Writer) {
        out.needs(self.0);
        self.0.put(out);
    }

    fn take(payload: Payload<'_>) -> Result<Self, Fault> {
        let schema = Schema::take(payload)?;
        payload.needs(schema);
        Ok(Self(schema))
    }
}

impl Act for RaiseSchema {
    const SINCE: Schema = Schema::FIRST;
    const REPEATABLE: bool = true;
    const WHILE_RESTORING: bool = true;
    const WHILE_FULL: bool = true;

    fn act(&self, change: &mut Change<'_>) -> Result<Outcome, Stop> {
        let (now, to) = (tables::schema(change.store)?.unwrap_or(Schema::FIRST), self.to.0);
        if to <= now {
            return Ok(Outcome::Done);
        }
        require(to == now.next(), RejectionKind::StaleState, "a schema rises by one at a time")?;
        tables::put_schema(change.store, to)?;
        Ok(Outcome::Done)
    }
}

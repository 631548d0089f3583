//! The state machine of `domain` behind the bytes that consensus carries.

use super::Machine;
use crate::clock::SharedClock;
use crate::domain::plant::{Plant, planted};
use crate::domain::terms::Policy;
use crate::domain::{
    self, ClusterId, ClusterTime, Command, Fault, Proposal, ReadStore, Schema, Stamped, Store, WallTime, apply,
    command, encode_answer, query,
};

pub(crate) struct Replicated {
    /// The policy of a cluster that is set up by this node.
    pub policy: Policy,
}

impl Machine for Replicated {
    fn stamp(&self, at: ClusterTime, wall: WallTime, proposal: &[u8], schema: Schema) -> Result<Vec<u8>, Fault> {
        domain::stamp(at, wall, proposal, schema)
    }

    fn check_frame(&self, entry: &[u8]) -> Result<(), Fault> {
        domain::check_frame(entry)
    }

    fn newest(&self) -> Schema {
        Schema::NEWEST
    }

    fn schema(&self, store: &dyn ReadStore) -> Result<Schema, Fault> {
        Ok(query::schema(store)?.unwrap_or(Schema::FIRST))
    }

    fn rise(&self, to: Schema) -> Vec<u8> {
        let command = command::RaiseSchema { to: command::Raised(to) }.into();
        Proposal { operation: None, command }.encode()
    }

    fn frees_room(&self, proposal: &[u8]) -> Result<bool, Fault> {
        Ok(Proposal::decode(proposal)?.command.is_taken_while_full())
    }

    fn apply(&self, store: &mut dyn Store, index: u64, entry: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut stamped = Stamped::decode(entry)?;
        if planted(Plant::WallClockInApply) {
            stamped.wall = WallTime(SharedClock::system().wall_ms());
        }
        Ok(encode_answer(&apply(store, index, &stamped)?))
    }

    fn knows(&self, store: &dyn ReadStore) -> Result<(), Fault> {
        let schema = self.schema(store)?;
        if schema > self.newest() { Err(schema.unknown("the state")) } else { Ok(()) }
    }

    fn cluster_time(&self, store: &dyn ReadStore) -> Result<ClusterTime, Fault> {
        query::cluster_time(store)
    }

    fn bootstrap(&self, store: &dyn ReadStore, cluster: ClusterId, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        if query::cluster_info(store)?.is_some() {
            return Ok(None);
        }
        let command = Command::Bootstrap(command::Bootstrap {
            cluster_id: cluster,
            name: name.to_owned(),
            policy: self.policy.clone(),
        });
        Ok(Some(Proposal { operation: None, command }.encode()))
    }
}

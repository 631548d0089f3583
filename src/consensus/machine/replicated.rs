//! The state machine of `domain` behind the bytes that consensus carries.

use super::Machine;
use crate::clock::SharedClock;
use crate::domain::command::Policy;
use crate::domain::plant::{Plant, planted};
use crate::domain::{
    ClusterId, ClusterTime, Command, Fault, Proposal, ReadStore, SCHEMA_VERSION, Stamped, Store, WallTime, apply,
    encode_answer, frees_room, query,
};

pub(crate) struct Replicated {
    /// The policy of a cluster that is set up by this node.
    pub policy: Policy,
}

impl Machine for Replicated {
    fn stamp(&self, at: ClusterTime, wall: WallTime, proposal: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(Stamped { at, wall, proposal: Proposal::decode(proposal)? }.encode())
    }

    fn frees_room(&self, proposal: &[u8]) -> Result<bool, Fault> {
        Ok(frees_room(&Proposal::decode(proposal)?.command))
    }

    fn apply(&self, store: &mut dyn Store, index: u64, entry: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut stamped = Stamped::decode(entry)?;
        if planted(Plant::WallClockInApply) {
            stamped.wall = WallTime(SharedClock::system().wall_ms());
        }
        Ok(encode_answer(&apply(store, index, &stamped)?))
    }

    fn knows(&self, store: &dyn ReadStore) -> Result<(), Fault> {
        match query::schema_version(store)? {
            Some(found) if found > SCHEMA_VERSION => Err(Fault(format!(
                "its rows are of schema {found}, and this release knows {SCHEMA_VERSION}: start the release that the other \
                 nodes run"
            ))),
            _ => Ok(()),
        }
    }

    fn cluster_time(&self, store: &dyn ReadStore) -> Result<ClusterTime, Fault> {
        query::cluster_time(store)
    }

    fn bootstrap(&self, store: &dyn ReadStore, cluster: ClusterId, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        if query::cluster_info(store)?.is_some() {
            return Ok(None);
        }
        let command = Command::Bootstrap { cluster_id: cluster, name: name.to_owned(), policy: self.policy.clone() };
        Ok(Some(Proposal { operation: None, command }.encode()))
    }
}

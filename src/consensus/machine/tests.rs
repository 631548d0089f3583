//! A state machine small enough to see through.

use std::sync::Arc;

use super::Machine;
use crate::domain::{ClusterId, ClusterTime, Fault, ReadStore, Schema, Store, Table, WallTime};

const TIME: &[u8] = b"time";
const CLUSTER: &[u8] = b"cluster";

/// Keys and values: a proposal reads `key=value` and is answered with the index of its entry. It faults where
/// the times in the log run backwards, and at the proposal `fault`.
pub(crate) struct Registers;

impl Machine for Registers {
    fn check_frame(&self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn newest(&self) -> Schema {
        Schema::FIRST
    }

    fn schema(&self, _: &dyn ReadStore) -> Result<Schema, Fault> {
        Ok(Schema::FIRST)
    }

    fn rise(&self, _: Schema) -> Vec<u8> {
        b"rise=1".to_vec()
    }

    fn stamp(&self, at: ClusterTime, wall: WallTime, proposal: &[u8], _: Schema) -> Result<Vec<u8>, Fault> {
        Ok([&at.0.to_be_bytes(), &wall.0.to_be_bytes(), proposal].concat())
    }

    fn frees_room(&self, proposal: &[u8]) -> Result<bool, Fault> {
        Ok(proposal.starts_with(b"free"))
    }

    fn apply(&self, store: &mut dyn Store, index: u64, entry: &[u8]) -> Result<Vec<u8>, Fault> {
        let (at, rest) = entry.split_at(8);
        let at = ClusterTime(u64::from_be_bytes(at.try_into().unwrap()));
        if at < self.cluster_time(store)? {
            return Err(Fault(format!("cluster time runs backwards at entry {index}")));
        }
        let text = &rest[8..];
        if text == b"fault" {
            return Err(Fault("the proposal asks for one".into()));
        }
        let equals = text.iter().position(|byte| *byte == b'=').ok_or_else(|| Fault("no register".into()))?;
        store.put(Table::Meta, TIME, &at.0.to_be_bytes())?;
        store.put(Table::Entries, &text[..equals], &text[equals + 1..])?;
        Ok(index.to_be_bytes().to_vec())
    }

    fn knows(&self, _: &dyn ReadStore) -> Result<(), Fault> {
        Ok(())
    }

    fn cluster_time(&self, store: &dyn ReadStore) -> Result<ClusterTime, Fault> {
        let bytes = store.get(Table::Meta, TIME)?;
        Ok(ClusterTime(bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))))
    }

    fn bootstrap(&self, store: &dyn ReadStore, cluster: ClusterId, _: &str) -> Result<Option<Vec<u8>>, Fault> {
        let done = store.get(Table::Entries, CLUSTER)?.is_some();
        Ok((!done).then(|| [CLUSTER, b"=", cluster.to_string().as_bytes()].concat()))
    }
}

/// What the test suite of openraft runs on.
pub(crate) fn shared_machine() -> Arc<dyn Machine> {
    Arc::new(Registers)
}

//! Where a member is, while what the cluster has written down of it and what this node's configuration lists differ.
//!
//! One of the two is old: the member has moved and the cluster does not know yet, or the file was never touched since it
//! moved. Nobody can tell which, so whichever answered last is asked first, and the other one next. No harm comes of a
//! wrong one: whoever answers there has to prove that it is the node that is meant.
//!
//! So nodes that have all moved find one another by the files alone, elect a leader, and each of them then tells the
//! cluster its new address (`handle/address.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Call, CallError, Peers, Target};
use crate::domain::NodeId;

/// Where the members are, by what the cluster has written down last. openraft's clients are made once for each member and
/// keep the address of that moment, so they look here at each call.
#[derive(Debug, Default)]
pub(crate) struct KnownAddresses(Mutex<BTreeMap<NodeId, String>>);

impl KnownAddresses {
    pub(crate) fn set(&self, known: BTreeMap<NodeId, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    pub(crate) fn of(&self, node: NodeId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }
}

/// The way to the other nodes, by either of their addresses.
pub(crate) struct AddressBook {
    peers: Arc<dyn Peers>,
    listed: BTreeMap<NodeId, String>,
    /// Those that are asked at their listed address first.
    by_list: Arc<Mutex<BTreeSet<NodeId>>>,
}

impl AddressBook {
    pub(crate) fn new(peers: Arc<dyn Peers>, listed: BTreeMap<NodeId, String>) -> Self {
        Self { peers, listed, by_list: Arc::default() }
    }
}

impl Peers for AddressBook {
    fn call(
        &self,
        target: &Target,
        call: Call,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let Some(listed) = self.listed.get(&target.id).filter(|listed| **listed != target.address) else {
            return self.peers.call(target, call, body, timeout);
        };
        let (id, listed) = (target.id, Target { id: target.id, address: listed.clone() });
        let by_list = self.by_list.lock().unwrap_or_else(PoisonError::into_inner).contains(&id);
        let (first, second) = if by_list { (listed, target.clone()) } else { (target.clone(), listed) };
        let begun = self.peers.call(&first, call, body.clone(), timeout);
        let (peers, preferences) = (Arc::clone(&self.peers), Arc::clone(&self.by_list));
        Box::pin(async move {
            let error = match begun.await {
                Err(error @ (CallError::Unreachable(_) | CallError::Broken(_))) => error,
                answered => return answered,
            };
            {
                let mut preferences = preferences.lock().unwrap_or_else(PoisonError::into_inner);
                if by_list {
                    preferences.remove(&id)
                } else {
                    preferences.insert(id)
                };
            }
            match error {
                CallError::Unreachable(_) => peers.call(&second, call, body, timeout).await,
                // It may have arrived.
                error => Err(error),
            }
        })
    }
}

//! Whole nodes on real sockets and real disks, over a state machine of registers.

mod commits;
mod crashes;
mod failover;
mod forming;
mod membership;
mod reads;
mod room;
mod slots;
mod snapshots;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::machine::tests::Registers;
use super::{Handle, Member, Options, PeerService, ProposeError, ReadError, Status, Tuning};
use crate::clock::SharedClock;
use crate::domain::command::Policy;
use crate::domain::{NodeId, ReadStore, Table};
use crate::protocol::secret::ClusterSecret;

/// Far more than anything here takes, also on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers with who asked and what.
struct Echo;

impl PeerService for Echo {
    fn serve(&self, from: NodeId, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        async move {
            if request.is_empty() {
                Err("an empty request".into())
            } else {
                Ok([from.to_string().as_bytes(), &request].concat().into())
            }
        }
        .boxed()
    }
}

/// Nodes 1, 2, … in directories of their own. Dropping it ends them.
struct Cluster {
    dir: tempfile::TempDir,
    members: Vec<Member>,
    /// How many of them form the cluster. The others wait to be added.
    first: u64,
    listeners: Vec<Option<TcpListener>>,
    nodes: Vec<Option<Handle>>,
    tuning: Tuning,
}

impl Cluster {
    /// Bound to their ports, not started.
    fn of(count: u64, tuning: Tuning) -> Self {
        Self::with_spares(count, 0, tuning)
    }

    fn with_spares(first: u64, spares: u64, tuning: Tuning) -> Self {
        let count = first + spares;
        let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let members = listeners
            .iter()
            .zip(1..)
            .map(|(listener, id)| Member {
                id: NodeId(id),
                url: format!("http://user.invalid/{id}"),
                peer: format!("http://{}", listener.local_addr().unwrap()),
            })
            .collect();
        let nodes = (0..count).map(|_| None).collect();
        let listeners = listeners.into_iter().map(Some).collect();
        Self { dir: tempfile::tempdir().unwrap(), members, first, listeners, nodes, tuning }
    }

    async fn started(count: u64, tuning: Tuning) -> Self {
        let mut cluster = Self::of(count, tuning);
        for id in 1..=count {
            cluster.start(id).await;
        }
        cluster.leader().await;
        cluster
    }

    fn data_dir(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("node-{id}"))
    }

    async fn options(&mut self, id: u64) -> Options {
        let address = self.members[id as usize - 1].peer.trim_start_matches("http://").to_owned();
        let peer_listener = match self.listeners[id as usize - 1].take() {
            Some(listener) => listener,
            None => until(|| TcpListener::bind(&address).ok()).await,
        };
        let member = &self.members[id as usize - 1];
        Options {
            node_id: member.id,
            data_dir: self.data_dir(id),
            peer_listener,
            url: member.url.clone(),
            peer_url: member.peer.clone(),
            cluster_name: "test".into(),
            members: self.members[..self.first as usize].to_vec(),
            join: id > self.first,
            secret: ClusterSecret::from_bytes([7; 32]),
            policy: Policy::default(),
            clock: SharedClock::system(),
            tuning: self.tuning.clone(),
        }
    }

    async fn try_start(&mut self, options: Options) -> anyhow::Result<Handle> {
        Handle::start_with(options, Arc::new(Echo), Arc::new(Registers)).await
    }

    /// Starts a node, again if it ran before: the old one may take a moment to let go of its directory.
    async fn start(&mut self, id: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let options = self.options(id).await;
            match self.try_start(options).await {
                Ok(handle) => {
                    self.nodes[id as usize - 1] = Some(handle);
                    return;
                }
                Err(error) if Instant::now() < deadline && error.to_string().contains("in use by") => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("node {id}: {error:#}"),
            }
        }
    }

    /// Ends a node as a crash would: nothing is handed over, nothing is flushed.
    fn kill(&mut self, id: u64) {
        self.nodes[id as usize - 1] = None;
    }

    fn node(&self, id: u64) -> &Handle {
        self.nodes[id as usize - 1].as_ref().expect("it runs")
    }

    fn running(&self) -> impl Iterator<Item = &Handle> {
        self.nodes.iter().flatten()
    }

    /// The leader, once all that run agree on one that runs and is in office.
    async fn leader(&self) -> u64 {
        until(|| {
            let mut leaders: Vec<Option<NodeId>> = self.running().map(|node| node.status().leader).collect();
            leaders.dedup();
            let [Some(leader)] = leaders.as_slice() else { return None };
            let handle = self.nodes[leader.0 as usize - 1].as_ref()?;
            handle.metrics().is_leader.then_some(leader.0)
        })
        .await
    }

    async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        self.running().map(|node| node.status().node_id.0).find(|id| *id != leader).unwrap()
    }
}

/// Waits for a condition.
async fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "it did not come about in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_status(node: &Handle, condition: impl Fn(&Status) -> bool) -> Status {
    until(|| Some(node.status()).filter(&condition)).await
}

/// Sets a register. Doing it twice is the same as once.
async fn set(node: &Handle, key: &str, value: &str) -> Result<u64, ProposeError> {
    let answer = node.propose_bytes(format!("{key}={value}").into(), true).await?;
    Ok(u64::from_be_bytes(answer.as_ref().try_into().unwrap()))
}

fn look(store: &dyn ReadStore, key: &str) -> Option<String> {
    store.get(Table::Entries, key.as_bytes()).unwrap().map(|value| String::from_utf8(value).unwrap())
}

async fn get(node: &Handle, key: &str) -> Option<String> {
    let key = key.to_owned();
    node.read(move |store| Ok(look(store, &key))).await.unwrap()
}

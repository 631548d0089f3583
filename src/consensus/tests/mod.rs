//! Whole nodes on real sockets, over a state machine of registers; on real disks, and most of it again in memory.

mod commits;
mod crashes;
pub(crate) mod executor;
mod failover;
mod forming;
mod membership;
mod memory;
mod reads;
mod room;
pub(crate) mod simulated;
mod slots;
mod snapshots;
mod went_back;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use self::memory::Memory;
use super::machine::tests::Registers;
use super::media::{Media, OnDisk};
use super::rocks;
use super::state::in_memory::MemoryTables;
use super::{Handle, Member, Options, PeerService, ProposeError, ReadError, Status, Tuning};
use crate::clock::SharedClock;
use crate::domain::terms::Policy;
use crate::domain::{NodeId, ReadStore, Table};
use crate::protocol::secret::ClusterSecret;
use crate::trust::{Authority, Credentials, Identity};

/// Far more than anything here takes, also on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the nodes of a test keep their logs and states on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Disk,
    Memory,
}

/// What one node has of them.
enum Kept {
    OnDisk,
    InMemory(Memory),
}

impl Kept {
    fn new(on: On) -> Self {
        match on {
            On::Disk => Self::OnDisk,
            On::Memory => Self::InMemory(Memory::new(|| Duration::from_millis(1))),
        }
    }

    fn media(&self) -> Arc<dyn Media> {
        match self {
            Self::OnDisk => Arc::new(OnDisk::new(rocks::Shared::new())),
            Self::InMemory(memory) => Arc::new(memory.clone()),
        }
    }
}

/// Each of these once on disks and once in memory.
macro_rules! over_both_media {
    ($($name:ident),* $(,)?) => {
        mod on_disk {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::On::Disk).await; })*
        }

        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::On::Memory).await; })*
        }
    };
}
use over_both_media;

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
    kept: Vec<Kept>,
    tuning: Tuning,
}

/// Those of a node of the cluster whose secret is this byte, over and over.
fn credentials(secret: u8, node: u64) -> Credentials {
    let authority = Authority::new(&ClusterSecret::from_bytes([secret; 32])).unwrap();
    Credentials::issued(&authority, Identity::Directory(NodeId(node)), &SharedClock::system()).unwrap()
}

impl Cluster {
    /// Bound to their ports, not started.
    fn of(on: On, count: u64, tuning: Tuning) -> Self {
        Self::with_spares(on, count, 0, tuning)
    }

    fn with_spares(on: On, first: u64, spares: u64, tuning: Tuning) -> Self {
        let count = first + spares;
        let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let members = listeners
            .iter()
            .zip(1..)
            .map(|(listener, id)| Member {
                id: NodeId(id),
                url: format!("http://user.invalid/{id}"),
                peer: format!("https://{}", listener.local_addr().unwrap()),
            })
            .collect();
        let nodes = (0..count).map(|_| None).collect();
        let listeners = listeners.into_iter().map(Some).collect();
        let kept = (0..count).map(|_| Kept::new(on)).collect();
        Self { dir: tempfile::tempdir().unwrap(), members, first, listeners, nodes, kept, tuning }
    }

    async fn started(on: On, count: u64, tuning: Tuning) -> Self {
        let mut cluster = Self::of(on, count, tuning);
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
        let address = self.members[id as usize - 1].peer.trim_start_matches("https://").to_owned();
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
            credentials: credentials(7, id),
            others: None,
            policy: Policy::default(),
            clock: SharedClock::system(),
            tuning: self.tuning.clone(),
        }
    }

    async fn try_start(&mut self, options: Options) -> anyhow::Result<Handle> {
        // Some tests start a node under an id that is none.
        let slot = self.kept.len().min(options.node_id.0 as usize) - 1;
        let media = self.kept[slot].media();
        Handle::start_with(options, Arc::new(Echo), Arc::new(Registers), media).await
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

    /// Takes away the state of a node that does not run, as if a power failure had taken everything that it had not
    /// synced: nothing is the extreme of it.
    async fn lose_state(&mut self, id: u64) {
        let (data, kept) = (self.data_dir(id), &mut self.kept[id as usize - 1]);
        // It lets go of its files a moment later.
        until(|| super::formation::DataDir::take(&data).ok()).await;
        match kept {
            Kept::OnDisk => std::fs::remove_dir_all(data.join("state")).unwrap(),
            Kept::InMemory(memory) => memory.state = MemoryTables::new(),
        }
    }

    fn node(&self, id: u64) -> &Handle {
        self.nodes[id as usize - 1].as_ref().expect("it runs")
    }

    fn running(&self) -> impl Iterator<Item = &Handle> {
        self.nodes.iter().flatten()
    }

    /// The leader, once all that run agree on one that runs and whose leadership has begun.
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

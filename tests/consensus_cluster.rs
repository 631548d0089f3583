//! Directory nodes' consensus with the real state machine: real sockets, real disks, killed leaders.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ringmaster::clock::SharedClock;
use ringmaster::consensus::{Handle, Member, Options, PeerService, ProposeError, Tuning};
use ringmaster::domain::terms::{Operation, PathRef, Policy};
use ringmaster::domain::{
    Answer, Command, FilePath, MemoryStore, NodeId, Outcome, Proposal, RejectionKind, Sha256, Store, Table, UserId,
    check, command, query,
};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::trust::{Authority, Credentials, Identity};

const PATIENCE: Duration = Duration::from_secs(60);

struct NoService;

impl PeerService for NoService {
    fn serve(&self, _: NodeId, _: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        async { Err("nothing is asked here".into()) }.boxed()
    }
}

/// Those of a node of the cluster whose secret is this byte, over and over.
fn credentials(secret: u8, node: u64) -> Credentials {
    let authority = Authority::new(&ClusterSecret::from_bytes([secret; 32])).unwrap();
    Credentials::issued(&authority, Identity::Directory(NodeId(node)), &SharedClock::system()).unwrap()
}

fn listeners(count: usize) -> (Vec<TcpListener>, Vec<Member>) {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let members = listeners.iter().zip(1..).map(|(listener, id)| {
        let peer = format!("https://{}", listener.local_addr().unwrap());
        Member { id: NodeId(id), url: "http://user.invalid".into(), peer }
    });
    let members = members.collect();
    (listeners, members)
}

async fn start(dir: &Path, listener: TcpListener, members: &[Member], id: u64) -> Handle {
    let member = &members[id as usize - 1];
    let options = Options {
        node_id: member.id,
        data_dir: dir.join(format!("node-{id}")),
        peer_listener: listener,
        url: member.url.clone(),
        peer_url: member.peer.clone(),
        cluster_name: "test".into(),
        members: members.to_vec(),
        join: false,
        credentials: credentials(7, id),
        others: None,
        policy: Policy { copies: 3, ..Policy::default() },
        clock: SharedClock::system(),
        tuning: Tuning { snapshot_after: 500, keep_entries: 50, ..Tuning::default() },
    };
    Handle::start(options, Arc::new(NoService)).await.unwrap()
}

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

async fn leader<'a>(nodes: impl Iterator<Item = &'a Handle> + Clone) -> NodeId {
    until(|| nodes.clone().find(|node| node.metrics().is_leader).map(|node| node.status().node_id)).await
}

fn signup(name: &str) -> Proposal {
    let command = Command::Signup(command::Signup { username: name.into(), password_hash: "$argon2id$".into() });
    Proposal { operation: None, command }
}

fn mkdir(user: UserId, path: &str) -> Proposal {
    let mut fingerprint = [0; 32];
    fingerprint[..8].copy_from_slice(&(path.len() as u64).to_be_bytes());
    Proposal {
        operation: Some(Operation {
            user,
            id: format!("make {path}"),
            fingerprint: Sha256(fingerprint),
            ttl_ms: 0,
            from: String::new(),
        }),
        command: Command::Mkdir(command::Mkdir {
            user,
            at: PathRef { owner: None, path: FilePath::parse(path).unwrap() },
        }),
    }
}

async fn user(node: &Handle, name: &str) -> UserId {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match node.propose(signup(name)).await {
            Ok(Ok(Outcome::User { user_id, .. })) => return user_id,
            Err(ProposeError::NoLeader(_)) if Instant::now() < deadline => {}
            other => panic!("{other:?}"),
        }
    }
}

/// All rows of a node that the state machine owns.
async fn content(node: &Handle) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let read = node.read(|store| {
        let mut all = Vec::new();
        for table in Table::ALL {
            for (key, value) in store.scan(table, b"", None, usize::MAX)? {
                if !key.starts_with(b"raft.") {
                    all.push((table, key, value));
                }
            }
        }
        Ok(all)
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_takes_effect_once_whoever_leads() {
    let dir = tempfile::tempdir().unwrap();
    let (listeners, members) = listeners(3);
    let mut nodes = Vec::new();
    for (listener, id) in listeners.into_iter().zip(1..) {
        nodes.push(Some(start(dir.path(), listener, &members, id).await));
    }
    let ann = user(nodes[0].as_ref().unwrap(), "ann").await;
    // The policy of the first leader's configuration, once and for all.
    let policy = nodes[1].as_ref().unwrap().read(query::policy).await.unwrap();
    assert_eq!(policy.copies, 3);

    for round in 0..3 {
        let leads = leader(nodes.iter().flatten()).await;
        let survivor = nodes.iter().flatten().find(|node| node.status().node_id != leads).unwrap().clone();
        let writing = {
            let node = survivor.clone();
            tokio::spawn(async move {
                for step in 0..300 {
                    let answer = node.propose(mkdir(ann, &format!("/{round}/{step}"))).await.unwrap();
                    assert!(answer.is_ok(), "{answer:?}");
                }
            })
        };
        let begun = survivor.metrics().applied_index;
        until(|| (survivor.metrics().applied_index > begun + 50).then_some(())).await;
        let place = leads.0 as usize - 1;
        nodes[place] = None;
        writing.await.unwrap();
        // Sent again, to another leader than the first time: the same answer, and nothing is done.
        let again = survivor.propose(mkdir(ann, &format!("/{round}/3"))).await.unwrap();
        assert!(matches!(again, Ok(Outcome::Stat(_))), "{again:?}");
        let other = Proposal { operation: None, ..mkdir(ann, &format!("/{round}/3")) };
        let taken: Answer = survivor.propose(other).await.unwrap();
        assert_eq!(taken.unwrap_err().kind, RejectionKind::AlreadyExists);
        let address = members[place].peer.trim_start_matches("https://").to_owned();
        let listener = until(|| TcpListener::bind(&address).ok()).await;
        nodes[place] = Some(start(dir.path(), listener, &members, leads.0).await);
    }
    let first = content(nodes[0].as_ref().unwrap()).await;
    for node in nodes.iter().flatten() {
        until(|| (node.status().ready).then_some(())).await;
        assert!(content(node).await == first, "the nodes differ");
    }
    let mut copy = MemoryStore::new();
    for (table, key, value) in &first {
        copy.put(*table, key, value).unwrap();
    }
    assert_eq!(check(&copy).unwrap(), []);
    let named = |table: Table| matches!(table, Table::Names | Table::Bare);
    assert!(first.iter().filter(|(table, ..)| named(*table)).count() >= 3 * 301);
}

/// How much memory this process has in use, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Twenty thousand entries by default; `RINGMASTER_TEST_ENTRIES=1000000` for the full size.
#[expect(clippy::print_stderr, reason = "the numbers are what this is run for")]
#[tokio::test(flavor = "multi_thread")]
async fn an_index_on_disk_takes_little_memory_and_starts_fast() {
    let entries: u64 = std::env::var("RINGMASTER_TEST_ENTRIES").map_or(20_000, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (mut listeners, members) = listeners(1);
    let node = start(dir.path(), listeners.remove(0), &members, 1).await;
    let ann = user(&node, "ann").await;
    let begun = Instant::now();
    let writers = (0..64).map(|writer| {
        let node = node.clone();
        tokio::spawn(async move {
            for step in 0..entries / 64 {
                let proposal = Proposal { operation: None, ..mkdir(ann, &format!("/{writer}-{}/{step}", step / 1000)) };
                node.propose(proposal).await.unwrap().unwrap();
            }
        })
    });
    for writer in futures_util::future::join_all(writers).await {
        writer.unwrap();
    }
    let filled = begun.elapsed();
    let memory = resident();
    drop(node);
    let address = members[0].peer.trim_start_matches("https://").to_owned();
    let listener = until(|| TcpListener::bind(&address).ok()).await;
    let begun = Instant::now();
    let node = start(dir.path(), listener, &members, 1).await;
    until(|| node.status().ready.then_some(())).await;
    node.read(query::policy).await.unwrap();
    let started = begun.elapsed();
    eprintln!(
        "{entries} entries in {filled:?}; resident {} MiB, after a restart {} MiB; ready again in {started:?}",
        memory >> 20,
        resident() >> 20
    );
    assert!(memory < 500 << 20, "{} MiB", memory >> 20);
    assert!(started < Duration::from_secs(5), "{started:?}");
}

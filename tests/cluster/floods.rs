//! Strangers with sockets: they hold connections open at every port and say nothing, or half of something, or read
//! nothing. Nobody notices.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::support::{Cluster, DEADLINE, Setup, noise, until};

/// What a login shell has, and fewer than a flood of one port has connections.
const DESCRIPTORS: u32 = 1024;
const STRANGERS: usize = 1_100;
/// How many connections a flood of one port makes in half a second at first, and later, where they were closed. What is
/// shown here is what held connections do; a machine is also made busy by who opens enough of them.
const AT_FIRST: usize = 100;
const AGAIN: usize = 10;
/// Two floods at once would keep the processors busy.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// A request of a user who is alone takes milliseconds; this one waits for nothing that a flood could hold.
const NORMAL: Duration = Duration::from_secs(10);

/// How often is looked.
const ROUNDS: usize = 3;

/// What a stranger does with a connection.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Idle,
    HalfHead,
    HalfBody,
    /// Asks for much and reads nothing of it.
    Unread,
}

impl Manner {
    const ALL: [Self; 4] = [Self::Idle, Self::HalfHead, Self::HalfBody, Self::Unread];

    fn says(self) -> Vec<u8> {
        match self {
            Self::Idle => Vec::new(),
            Self::HalfHead => b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-half:".to_vec(),
            Self::HalfBody => {
                // At each port somebody reads the body of one of these.
                b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-length: 900000\r\n\r\n{\"username\": \"".to_vec()
            }
            // No port answers a stranger with much, but for the one with the metrics.
            Self::Unread => b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(8),
        }
    }
}

/// Connections that are held at a port, and made again where they are closed.
struct Flood {
    tasks: Vec<JoinHandle<()>>,
    made: Vec<Arc<AtomicU64>>,
}

impl Flood {
    fn start(addresses: &[SocketAddr], manner: Manner) -> Self {
        let mut flood = Self { tasks: Vec::new(), made: Vec::new() };
        for address in addresses {
            let made = Arc::<AtomicU64>::default();
            flood.tasks.push(tokio::spawn(hold(*address, manner.says(), made.clone())));
            flood.made.push(made);
        }
        flood
    }

    /// Until it has tried to open as many as it is to hold, everywhere.
    async fn stands(&self) {
        until("the flood stands", async || {
            self.made.iter().all(|made| made.load(Ordering::Relaxed) >= STRANGERS as u64)
        })
        .await;
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn hold(address: SocketAddr, says: Vec<u8>, made: Arc<AtomicU64>) {
    let mut streams: Vec<Option<TcpStream>> = (0..STRANGERS).map(|_| None).collect();
    loop {
        let most = if made.load(Ordering::Relaxed) < STRANGERS as u64 { AT_FIRST } else { AGAIN };
        let mut again = 0;
        for stream in &mut streams {
            let open = stream.as_ref().is_some_and(|stream| match stream.try_write(b"") {
                Ok(_) => stream.take_error().is_ok_and(|error| error.is_none()) && !is_closed(stream),
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            });
            if open || again >= most {
                continue;
            }
            again += 1;
            *stream =
                tokio::time::timeout(Duration::from_millis(100), connect(address)).await.ok().and_then(Result::ok);
            if let Some(stream) = stream {
                let _ = stream.try_write(&says);
            }
            made.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// With little room for what comes, so that what is not read soon waits at its sender.
async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(address).await
}

/// Nothing is taken from it, so that who reads nothing goes on doing so.
fn is_closed(stream: &TcpStream) -> bool {
    use futures_util::FutureExt as _;
    let mut byte = [0];
    matches!(stream.peek(&mut byte).now_or_never(), Some(Ok(0) | Err(_)))
}

async fn cluster_of_few_descriptors() -> Cluster {
    let mut cluster = Cluster::prepare(&Setup::new(3, 3));
    for process in cluster.nodes.iter_mut().chain(&mut cluster.servers) {
        process.descriptors = Some(DESCRIPTORS);
    }
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(3).await;
    cluster
}

fn addresses(cluster: &Cluster) -> Vec<SocketAddr> {
    let processes = cluster.nodes.iter().chain(&cluster.servers);
    processes.flat_map(|process| &process.ports).map(|port| port.address().parse().expect("an address")).collect()
}

/// Files that come and go through each node. Each request succeeds at once, or it is told which did not.
async fn a_user_works(cluster: &Cluster, name: &str) -> Result<(), String> {
    for at in (0..cluster.nodes.len()).filter(|at| cluster.nodes[*at].is_started()) {
        for file in 0..5 {
            let (path, bytes) = (format!("/{name}-{at}-{file}"), noise(file, 40_000));
            let call = format!("/write?path={path}");
            let work = async {
                let (status, said) = cluster.put(&cluster.admin, at, &call, bytes.clone(), &[]).await;
                if status != 201 {
                    return Err(format!("{path}: {status} {said}"));
                }
                match cluster.read(&cluster.admin, at, &path).await {
                    Ok(read) if read == bytes => Ok(()),
                    Ok(_) => panic!("{path}: other bytes"),
                    Err(status) => Err(format!("{path}: read as {status}")),
                }
            };
            tokio::time::timeout(NORMAL, work).await.unwrap_or_else(|_| Err(format!("{path}: not in {NORMAL:?}")))?;
        }
    }
    Ok(())
}

async fn all_are_up(cluster: &Cluster) -> Result<(), String> {
    for at in (0..cluster.nodes.len()).filter(|at| cluster.nodes[*at].is_started()) {
        let (status, ring) = cluster.get(at, "/ring").await;
        let servers = ring["servers"].as_array().cloned().unwrap_or_default();
        let up = servers.iter().filter(|server| server["state"] == "up").count();
        if status != 200 || up != cluster.servers.len() {
            return Err(format!("seen by node {}: {status} {ring}", at + 1));
        }
    }
    Ok(())
}

/// Who leads, and in which term.
async fn leadership(cluster: &Cluster) -> (usize, u64) {
    let leader = cluster.leader().await;
    (leader, cluster.get(leader, "/cluster").await.1["term"].as_u64().unwrap_or_default())
}

async fn nobody_notices(cluster: &Cluster, name: &str) -> Result<(), String> {
    let looked = tokio::time::timeout(DEADLINE, look(cluster, name)).await;
    looked.unwrap_or_else(|_| Err(format!("{name}: not in {DEADLINE:?}")))
}

async fn look(cluster: &Cluster, name: &str) -> Result<(), String> {
    let before = leadership(cluster).await;
    a_user_works(cluster, name).await?;
    all_are_up(cluster).await?;
    let after = leadership(cluster).await;
    if after == before { Ok(()) } else { Err(format!("an election: {before:?}, {after:?}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_at_every_port_are_not_noticed() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = cluster_of_few_descriptors().await;
    for manner in Manner::ALL {
        let flood = Flood::start(&addresses(&cluster), manner);
        flood.stands().await;
        let mut seen = Vec::new();
        // On a machine that others keep busy a node may miss its heartbeats without any flood, and the next round shows it.
        for round in 0..ROUNDS {
            match nobody_notices(&cluster, &format!("{manner:?}-{round}")).await {
                Ok(()) => break,
                Err(noticed) => seen.push(noticed),
            }
        }
        assert!(seen.len() < ROUNDS, "{manner:?}: {seen:#?}");
    }
    // Each listener holds what it may and no more.
    for at in 0..3 {
        assert!(cluster.metric(at, "process_max_fds").await == u64::from(DESCRIPTORS));
        let cut = r#"ringmaster_connections_cut_total{listener="users",what="address"}"#;
        assert!(cluster.metric(at, cut).await > 0, "node {} has cut strangers", at + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_among_strangers_is_replaced() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = cluster_of_few_descriptors().await;
    let flood = Flood::start(&addresses(&cluster), Manner::HalfHead);
    flood.stands().await;
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    let next = cluster.leader().await;
    assert_ne!(next, leader);
    let mut round = 0;
    until("a user works as ever", async || {
        round += 1;
        let worked = nobody_notices(&cluster, &format!("after-{round}")).await;
        worked.map_err(|noticed| eprintln!("{noticed}")).is_ok()
    })
    .await;
}

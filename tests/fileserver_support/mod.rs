//! What the tests of the file server share: the directory's side of registration and heartbeats (the directory itself
//! has tests of its own), and servers on free ports with data directories of their own.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

#[path = "../rerun/mod.rs"]
pub mod rerun;
pub mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use ringmaster::client::blobs::http::HttpBlobs;
use ringmaster::client::blobs::{BlobError, Blobs, Body, PutCopy, ServerAddress, StoredCopy};
use ringmaster::clock::SharedClock;
use ringmaster::domain::{BlobId, ClusterId, CopyId, Epoch, NodeId, PublicKey, ServerId, ServerUuid, Sha256};
use ringmaster::fileserver::{FileServer, Options, Scrubbing, start};
use ringmaster::listener::Limits;
use ringmaster::monitoring::Monitoring;
use ringmaster::protocol::api::ServerState;
use ringmaster::protocol::capability::{Capability, Method};
use ringmaster::protocol::health::Health;
use ringmaster::protocol::inventory::{InventoryAnswer, InventoryReport};
use ringmaster::protocol::join::{JoinAnswer, JoinRequest};
use ringmaster::protocol::problem::{Code, Problem};
use ringmaster::protocol::registration::{
    HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest, ServerEntry,
};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::trust::{Identity, Members, Proven};
use sha2::Digest;
use tokio::net::TcpListener;

pub const CLUSTER: ClusterId = ClusterId(0xc1);
/// How long a condition may take to come true. Generous: machines are shared.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub fn secret() -> ClusterSecret {
    ClusterSecret::from_bytes([42; 32])
}

/// What a test wants the directory to say, and what it was told.
#[derive(Debug, Default)]
pub struct Ledger {
    pub cluster_id: Option<ClusterId>,
    pub servers: BTreeMap<u128, ServerEntry>,
    pub keys: BTreeMap<u128, PublicKey>,
    /// As the directory sees the servers.
    pub forgotten: bool,
    pub state: Option<ServerState>,
    pub registrations: u64,
    /// Every request to be admitted, also those that were refused.
    pub requests: Vec<RegisterRequest>,
    /// How requests to be admitted are answered instead.
    pub refusal: Option<(u16, &'static str)>,
    /// So many are admitted without being told.
    pub lost_answers: u32,
    pub inventory_ms: Option<u64>,
    pub reports: Vec<InventoryReport>,
    pub refuses_reports: bool,
    pub heartbeats: BTreeMap<String, Vec<HeartbeatRequest>>,
}

/// The directory's side of registration and heartbeats.
#[derive(Clone)]
pub struct Directory {
    pub ledger: Arc<Mutex<Ledger>>,
    secret: ClusterSecret,
    urls: Arc<Mutex<Vec<String>>>,
}

impl Directory {
    pub fn new() -> Self {
        Self::with(secret(), CLUSTER)
    }

    pub fn with(secret: ClusterSecret, cluster_id: ClusterId) -> Self {
        let ledger = Ledger { cluster_id: Some(cluster_id), ..Ledger::default() };
        Self { ledger: Arc::new(Mutex::new(ledger)), secret, urls: Arc::default() }
    }

    /// One more node; all nodes share what they know.
    pub async fn node(&self) -> String {
        let (listener, url) = bind().await;
        self.urls.lock().expect("not poisoned").push(url.clone());
        let router = Router::new()
            .route("/register", post(register))
            .route("/heartbeat", post(heartbeat))
            .route("/inventory", post(inventory))
            .route("/join", post(join))
            .with_state((self.clone(), url.clone()));
        tls::serve(listener, &tls::node_credentials(&self.secret), router);
        url
    }

    pub fn with_ledger<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        change(&mut self.ledger.lock().expect("not poisoned"))
    }

    pub fn raise_epoch(&self, server_id: ServerId) {
        self.with_ledger(|ledger| {
            let entry = ledger.servers.values_mut().find(|entry| entry.server_id == server_id).expect("registered");
            entry.epoch.0 += 1;
        });
    }

    fn servers(&self) -> Vec<ServerEntry> {
        self.with_ledger(|ledger| ledger.servers.values().cloned().collect())
    }

    fn directory(&self) -> Vec<String> {
        self.urls.lock().expect("not poisoned").clone()
    }
}

type Shown = Extension<Arc<Option<Proven>>>;

/// The file server that calls.
fn caller(shown: &Option<Proven>) -> Option<ServerUuid> {
    match shown {
        Some(Proven { identity: Identity::FileServer(uuid), .. }) => Some(*uuid),
        _ => None,
    }
}

async fn join(State((directory, _)): State<(Directory, String)>, Json(asked): Json<JoinRequest>) -> Response {
    let clock = SharedClock::system();
    let known = directory.with_ledger(|ledger| ledger.keys.get(&asked.uuid.0).copied());
    let has_token = asked.token.is_some_and(|token| token.verify(&directory.secret, clock.wall_ms()).is_ok());
    if known != Some(asked.key) && !has_token {
        let problem = Problem::new(Code::Forbidden, "no key and no token", "1");
        return (StatusCode::FORBIDDEN, Json(problem)).into_response();
    }
    directory.with_ledger(|ledger| ledger.keys.insert(asked.uuid.0, asked.key));
    let authority = tls::authority(&directory.secret);
    let certificate = authority.issue(Identity::FileServer(asked.uuid), asked.key, clock.wall_ms());
    let certificate = BASE64_STANDARD.encode(certificate.expect("a certificate"));
    Json(JoinAnswer { certificate, capabilities: tls::signer(&directory.secret).public(), now_ms: None })
        .into_response()
}

async fn register(
    State((directory, _)): State<(Directory, String)>,
    Extension(shown): Shown,
    Json(request): Json<RegisterRequest>,
) -> Response {
    if caller(&shown) != Some(request.uuid) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if let Some((status, detail)) = directory.with_ledger(|ledger| {
        ledger.requests.push(request.clone());
        ledger.refusal
    }) {
        let problem = Problem::new(Code::Forbidden, detail, "1");
        return (StatusCode::from_u16(status).expect("a status"), Json(problem)).into_response();
    }
    let members = Members::new(tls::node_credentials(&directory.secret), |client| client);
    let client = members.member(Identity::FileServer(request.uuid)).expect("a client");
    let Ok(Ok(health)) = async {
        Ok::<_, reqwest::Error>(client.get(format!("{}/healthz", request.url)).send().await?.json::<Health>().await)
    }
    .await
    else {
        return StatusCode::FORBIDDEN.into_response();
    };
    if health.url != request.url {
        return StatusCode::FORBIDDEN.into_response();
    }
    let (cluster_id, entry, inventory_ms, is_lost) = directory.with_ledger(|ledger| {
        ledger.registrations += 1;
        ledger.forgotten = false;
        ledger.state = None;
        let next = ServerId(ledger.servers.len() as u64 + 1);
        let ServerUuid(uuid) = request.uuid;
        let entry = ledger.servers.entry(uuid).or_insert_with(|| ServerEntry {
            server_id: next,
            uuid: request.uuid,
            url: String::new(),
            epoch: Epoch(1),
        });
        entry.url.clone_from(&request.url);
        let entry = entry.clone();
        let is_lost = ledger.lost_answers > 0;
        ledger.lost_answers -= u32::from(is_lost);
        (ledger.cluster_id.expect("set"), entry, ledger.inventory_ms.unwrap_or(1_800_000), is_lost)
    });
    if is_lost {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer = RegisterAnswer {
        cluster_id,
        server_id: entry.server_id,
        epoch: entry.epoch,
        heartbeat_ms: 50,
        inventory_ms,
        directory: directory.directory(),
        servers: directory.servers(),
        now_ms: None,
    };
    Json(answer).into_response()
}

async fn heartbeat(
    State((directory, url)): State<(Directory, String)>,
    Extension(shown): Shown,
    Json(request): Json<HeartbeatRequest>,
) -> Response {
    if caller(&shown) != Some(request.uuid) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let (known, epoch, state) = directory.with_ledger(|ledger| {
        let epoch = ledger.servers.get(&request.uuid.0).map(|entry| entry.epoch);
        ledger.heartbeats.entry(url).or_default().push(request.clone());
        (epoch.is_some() && !ledger.forgotten, epoch.unwrap_or_default(), ledger.state.unwrap_or(ServerState::Up))
    });
    let (directory, servers) = (directory.directory(), directory.servers());
    Json(HeartbeatAnswer { known, epoch, state, directory, servers, now_ms: None }).into_response()
}

async fn inventory(
    State((directory, _)): State<(Directory, String)>,
    Extension(shown): Shown,
    Json(report): Json<InventoryReport>,
) -> Response {
    if caller(&shown).is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let refused = directory.with_ledger(|ledger| {
        if !ledger.refuses_reports {
            ledger.reports.push(report);
        }
        ledger.refuses_reports
    });
    if refused {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    Json(InventoryAnswer::default()).into_response()
}

pub async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("bound");
    (listener, format!("https://{address}"))
}

/// A file server with its data directory.
pub struct Server {
    pub server: FileServer,
    pub url: String,
    pub data_dir: PathBuf,
}

pub async fn try_start(data_dir: &Path, directory: Vec<String>) -> anyhow::Result<(FileServer, String)> {
    // No scrubber, so that damage is met by nobody but the test.
    let scrub = Scrubbing { interval: Duration::ZERO, ..Scrubbing::default() };
    try_start_scrubbing(data_dir, directory, scrub).await
}

pub async fn try_start_scrubbing(
    data_dir: &Path,
    directory: Vec<String>,
    scrub: Scrubbing,
) -> anyhow::Result<(FileServer, String)> {
    rerun::begin();
    let (listener, url) = bind().await;
    let options = Options {
        listener,
        data_dir: data_dir.to_owned(),
        advertise: url.clone(),
        zone: "a".to_owned(),
        directory,
        join_token: Some(tls::join_token(&secret())),
        clock: SharedClock::system(),
        capacity: None,
        scrub,
        limits: Limits::default(),
        monitoring: Monitoring::open(bind().await.0),
    };
    Ok((start(options).await?, url))
}

impl Server {
    /// Starts one and waits until it is admitted and its directory was heard once.
    pub async fn start(data_dir: &Path, directory: Vec<String>) -> Self {
        let (server, url) = try_start(data_dir, directory).await.expect("starts");
        Self::admitted(data_dir, server, url).await
    }

    pub async fn start_scrubbing(data_dir: &Path, directory: Vec<String>, scrub: Scrubbing) -> Self {
        let (server, url) = try_start_scrubbing(data_dir, directory, scrub).await.expect("starts");
        Self::admitted(data_dir, server, url).await
    }

    async fn admitted(data_dir: &Path, server: FileServer, url: String) -> Self {
        tokio::time::timeout(DEADLINE, server.admitted()).await.expect("in time").expect("admitted");
        Self { server, url, data_dir: data_dir.to_owned() }
    }

    pub fn address(&self) -> ServerAddress {
        ServerAddress {
            server_id: self.server.server_id().expect("admitted"),
            epoch: self.server.epoch().expect("admitted"),
            uuid: uuid(&self.data_dir),
            url: self.url.clone(),
        }
    }

    pub fn data_file(&self, blob_id: BlobId) -> PathBuf {
        data_file(&self.data_dir, blob_id)
    }

    pub fn sidecar(&self, blob_id: BlobId) -> PathBuf {
        self.data_file(blob_id).with_extension("sum")
    }

    pub fn temporary_files(&self) -> usize {
        temporary_files(&self.data_dir)
    }
}

/// Of the server whose data directory it is.
pub fn uuid(data_dir: &Path) -> ServerUuid {
    let kept = std::fs::read(data_dir.join("server.json")).expect("it has an identity");
    let kept: serde_json::Value = serde_json::from_slice(&kept).expect("JSON");
    ServerUuid::parse(kept["uuid"].as_str().expect("a UUID")).expect("hexadecimal")
}

/// A client of a server, and no other, that calls as this member.
pub fn as_member(identity: Identity, to: &ServerAddress) -> reqwest::Client {
    let members = Members::new(tls::credentials(&secret(), identity), |client| client);
    members.member(Identity::FileServer(to.uuid)).expect("a client")
}

/// As a directory node.
pub fn as_node(to: &ServerAddress) -> reqwest::Client {
    as_member(Identity::Directory(NodeId(1)), to)
}

pub fn data_file(data_dir: &Path, blob_id: BlobId) -> PathBuf {
    let name = blob_id.to_string();
    data_dir.join("blobs").join(&name[..2]).join(&name[2..4]).join(name)
}

pub fn temporary_files(data_dir: &Path) -> usize {
    std::fs::read_dir(data_dir.join("tmp")).expect("the directory is there").count()
}

/// A temporary directory. A server that is dropped, and not stopped, writes where it was into it at that moment, and would
/// leave it behind.
pub struct TempDir(tempfile::TempDir);

impl TempDir {
    pub fn new() -> std::io::Result<Self> {
        tempfile::TempDir::new().map(Self)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        while std::fs::remove_dir_all(self.path()).is_err() && self.path().exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A directory and one server.
pub struct Single {
    pub directory: Directory,
    pub node: String,
    pub server: Server,
    pub blobs: HttpBlobs,
    pub dir: TempDir,
}

impl Single {
    pub async fn start() -> Self {
        let directory = Directory::new();
        let node = directory.node().await;
        let dir = TempDir::new().expect("a temporary directory");
        let server = Server::start(dir.path(), vec![node.clone()]).await;
        Self { directory, node, server, blobs: client(), dir }
    }

    pub fn at(&self) -> ServerAddress {
        self.server.address()
    }
}

pub fn client() -> HttpBlobs {
    HttpBlobs::new(
        tls::node_credentials(&secret()),
        Some(tls::signer(&secret())),
        || Some(CLUSTER),
        SharedClock::system(),
    )
}

/// Bytes without any regularity that a mistaken offset could hide in.
pub fn content(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

pub fn body(bytes: &[u8]) -> Body {
    let pieces: Vec<_> = bytes.chunks(64 * 1024).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

pub fn new_copy(blob_id: BlobId, copy_id: CopyId, length: Option<u64>) -> PutCopy {
    PutCopy { blob_id, copy_id, length, max_bytes: u64::MAX }
}

pub async fn put(
    blobs: &HttpBlobs,
    to: &ServerAddress,
    blob_id: BlobId,
    bytes: &[u8],
) -> Result<StoredCopy, BlobError> {
    blobs.put(to, new_copy(blob_id, CopyId(1), Some(bytes.len() as u64)), body(bytes)).await
}

/// What came, and why no more came where that is so.
pub async fn drain(mut body: Body) -> (Vec<u8>, Option<BlobError>) {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

pub async fn get(
    blobs: &HttpBlobs,
    from: &ServerAddress,
    blob_id: BlobId,
    range: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, BlobError> {
    let (bytes, error) = drain(blobs.get(from, blob_id, range).await?).await;
    error.map_or(Ok(bytes), Err)
}

/// Waits until it holds.
pub async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn capability(at: &ServerAddress, method: Method, blob_id: Option<BlobId>) -> String {
    let capability = Capability {
        method,
        cluster_id: CLUSTER,
        server_id: at.server_id,
        epoch: method.writes().then_some(at.epoch),
        blob_id,
        max_bytes: u64::MAX,
        expires_at_wall_ms: SharedClock::system().wall_ms() + 60_000,
    };
    capability.mint()
}

/// The reports of one blob alone: of damage.
pub fn damage_reports(directory: &Directory, blob_id: BlobId) -> Vec<InventoryReport> {
    let is_it =
        |report: &&InventoryReport| report.through == Some(blob_id) && report.after == InventoryReport::before(blob_id);
    directory.with_ledger(|ledger| ledger.reports.iter().filter(is_it).cloned().collect())
}

/// What a server tells those who watch it.
pub async fn told(at: SocketAddr, path: &str) -> String {
    let asked = async {
        ringmaster::trust::http()
            .build()?
            .get(format!("http://{at}{path}"))
            .send()
            .await?
            .error_for_status()?
            .text()
            .await
    };
    tokio::time::timeout(DEADLINE, asked).await.expect("in time").expect("an answer")
}

/// A number that a server tells Prometheus.
pub async fn metric(at: SocketAddr, name: &str) -> u64 {
    let text = told(at, "/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("ringmaster_fileserver_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

pub fn flip(path: &Path, byte: usize) {
    let mut bytes = std::fs::read(path).expect("the file is there");
    bytes[byte] ^= 1;
    std::fs::write(path, bytes).expect("the file is written");
}

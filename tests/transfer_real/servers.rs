//! Real file servers on free ports and in temporary directories. Each has a runtime of its own, so that it can be killed
//! in the middle of anything, like a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ringmaster::client::blobs::http::HttpBlobs;
use ringmaster::client::blobs::{Blobs, ServerAddress};
use ringmaster::clock::SharedClock;
use ringmaster::domain::{BlobId, ClusterId, CopyId, Epoch, ServerId, ServerUuid};
use ringmaster::fileserver::{self, FileServer};
use ringmaster::listener::Limits;
use ringmaster::monitoring::Monitoring;
use ringmaster::protocol::api::ServerState;
use ringmaster::protocol::join::{JoinAnswer, JoinRequest};
use ringmaster::protocol::registration::{
    HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest, ServerEntry,
};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::trust::Identity;

use crate::tls;

const CLUSTER: ClusterId = ClusterId(0xc1);
const EPOCH: Epoch = Epoch(1);
/// For what must happen, but nobody says when.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

fn secret() -> ClusterSecret {
    ClusterSecret::from_bytes([9; 32])
}

/// Admits whoever asks. A directory node does it with a majority behind it; nothing here is about that.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<BTreeMap<ServerUuid, ServerEntry>>>);

impl Gate {
    fn entries(&self) -> Vec<ServerEntry> {
        self.0.lock().expect("no handler panics").values().cloned().collect()
    }

    fn register(&self, request: RegisterRequest, own: String) -> RegisterAnswer {
        let server_id = {
            let mut known = self.0.lock().expect("no handler panics");
            let next = ServerId(known.len() as u64 + 1);
            let entry = ServerEntry { server_id: next, uuid: request.uuid, url: request.url, epoch: EPOCH };
            known.entry(request.uuid).or_insert(entry).server_id
        };
        RegisterAnswer {
            cluster_id: CLUSTER,
            server_id,
            epoch: EPOCH,
            heartbeat_ms: 50,
            inventory_ms: 1_800_000,
            directory: vec![own],
            servers: self.entries(),
            now_ms: None,
        }
    }

    async fn open(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("https://{}", listener.local_addr().expect("it is bound"));
        let (own, gate) = (url.clone(), self.clone());
        let register = async move |Json(request): Json<RegisterRequest>| Json(gate.register(request, own.clone()));
        let gate = self;
        let heartbeat = async move |Json(_): Json<HeartbeatRequest>| {
            Json(HeartbeatAnswer {
                known: true,
                epoch: EPOCH,
                state: ServerState::Up,
                directory: Vec::new(),
                servers: gate.entries(),
                now_ms: None,
            })
        };
        let router = Router::new().route("/register", post(register)).route("/heartbeat", post(heartbeat));
        let router = router.route("/join", post(join));
        tls::serve(listener, &tls::node_credentials(&secret()), router);
        url
    }
}

async fn join(Json(asked): Json<JoinRequest>) -> Json<JoinAnswer> {
    let (authority, now_ms) = (tls::authority(&secret()), SharedClock::system().wall_ms());
    let certificate = authority.issue(Identity::FileServer(asked.uuid), asked.key, now_ms).expect("a certificate");
    let certificate = BASE64_STANDARD.encode(certificate);
    Json(JoinAnswer { certificate, capabilities: tls::signer(&secret()).public(), now_ms: None })
}

fn uuid(data_dir: &Path) -> ServerUuid {
    let kept = std::fs::read(data_dir.join("server.json")).expect("it has an identity");
    let kept: serde_json::Value = serde_json::from_slice(&kept).expect("JSON");
    ServerUuid::parse(kept["uuid"].as_str().expect("a UUID")).expect("hexadecimal")
}

pub(crate) struct Server {
    pub(crate) address: ServerAddress,
    dir: TempDir,
    running: Option<(Runtime, FileServer)>,
}

pub(crate) struct Servers {
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) servers: Vec<Server>,
    gate: String,
    pub(crate) clock: SharedClock,
}

impl Servers {
    pub(crate) async fn start(count: usize) -> Self {
        let clock = SharedClock::system();
        let blobs = HttpBlobs::new(
            tls::node_credentials(&secret()),
            Some(tls::signer(&secret())),
            || Some(CLUSTER),
            clock.clone(),
        );
        let gate = Gate::default().open().await;
        let mut this = Self { blobs: Arc::new(blobs), servers: Vec::new(), gate, clock };
        for _ in 0..count {
            this.add().await;
        }
        this
    }

    pub(crate) async fn add(&mut self) -> ServerAddress {
        let dir = TempDir::new().expect("a temporary directory");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (data_dir, gate, clock) = (dir.path().to_owned(), self.gate.clone(), self.clock.clone());
        let kept_at = data_dir.clone();
        let started = runtime.spawn(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let advertise = format!("https://{}", listener.local_addr().expect("it is bound"));
            let options = fileserver::Options {
                listener,
                data_dir,
                advertise: advertise.clone(),
                zone: "a".to_owned(),
                directory: vec![gate],
                join_token: Some(tls::join_token(&secret())),
                clock,
                capacity: None,
                scrub: fileserver::Scrubbing::default(),
                limits: Limits::default(),
                monitoring: Monitoring::open(TcpListener::bind("127.0.0.1:0").await.expect("a free port")),
            };
            let server = fileserver::start(options).await.expect("it starts");
            let (server_id, epoch) = server.admitted().await.expect("it is admitted");
            let uuid = uuid(&kept_at);
            (server, ServerAddress { server_id, epoch, uuid, url: advertise })
        });
        let (server, address) = started.await.expect("no panic");
        self.servers.push(Server { address: address.clone(), dir, running: Some((runtime, server)) });
        address
    }

    pub(crate) fn fresh_blob(&self) -> BlobId {
        BlobId(self.clock.random_u128())
    }

    /// These servers, each with a fresh copy id.
    pub(crate) fn targets(&self, which: impl IntoIterator<Item = usize>) -> Vec<(ServerAddress, CopyId)> {
        which.into_iter().map(|at| (self.servers[at].address.clone(), CopyId(self.clock.random_u128()))).collect()
    }

    pub(crate) fn server(&self, id: ServerId) -> &Server {
        self.servers.iter().find(|server| server.address.server_id == id).expect("one of these")
    }

    /// Waits until no server's disk holds anything of `blob_id`, finished or not.
    pub(crate) async fn wait_until_gone(&self, blob_id: BlobId) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left: Vec<_> = self.servers.iter().flat_map(|server| server.files_of(blob_id)).collect();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "still there: {left:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Server {
    /// Like `kill -9`: no goodbye, and everything that was under way ends where it is.
    pub(crate) fn kill(&mut self) {
        if let Some((runtime, server)) = self.running.take() {
            runtime.shutdown_background();
            drop(server);
        }
    }

    /// All files whose names begin with the blob's id.
    pub(crate) fn files_of(&self, blob_id: BlobId) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(self.dir.path(), &blob_id.to_string(), &mut found);
        found
    }

    /// The file with the blob's bytes.
    pub(crate) fn data_of(&self, blob_id: BlobId) -> PathBuf {
        let name = blob_id.to_string();
        let files = self.files_of(blob_id);
        files.into_iter().find(|file| file.file_name().is_some_and(|it| *it == *name)).expect("it has a copy")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn walk(dir: &Path, prefix: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, prefix, found);
        } else if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(path);
        }
    }
}

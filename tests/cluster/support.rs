//! A cluster of real processes on ports and in directories of its own.

// Named, since this file stands in two test binaries, in one of them under another path.
#[path = "process.rs"]
mod process;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use ringmaster::client::Directory;
use ringmaster::clock::SharedClock;
use ringmaster::domain::{ServerUuid, TokenId};
use ringmaster::protocol::join::{JoinToken, SignedToken};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::protocol::setup::SetupCode;
use ringmaster::trust::{Authority, Credentials, Expected, Identity, Members};
use serde_json::{Value, json};
use tempfile::TempDir;

#[allow(unused_imports, reason = "for one of the two test binaries that this file stands in")]
pub(crate) use self::process::this_release;
pub(crate) use self::process::{Port, Process};

/// How long a condition may take to come true. Generous: machines are shared.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Longer than a node ever takes for an answer without a file's bytes: whoever asks in a loop asks again.
const ANSWER: Duration = Duration::from_secs(30);
/// Longer than a gibibyte takes on a busy machine: no test hangs for ever.
const TRANSFER: Duration = Duration::from_secs(1_200);
const KEY: &str = "Idempotency-Key";
/// Sent to whoever has metrics; it counts where a cluster is on more than this machine's loopback.
pub(crate) const METRICS_TOKEN: &str = "of-the-tests-0123456789";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// What a cluster is made of.
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    pub(crate) servers: usize,
    /// Added to the environment of every directory node, such as `("RINGMASTER__RAFT__SYNC_DELAY", "2ms")`.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Setup {
    pub(crate) fn new(nodes: usize, servers: usize) -> Self {
        Self { nodes, servers, environment: Vec::new() }
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.environment.push((key, value.to_string()));
        self
    }
}

pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    pub(crate) nodes: Vec<Process>,
    pub(crate) servers: Vec<Process>,
    pub(crate) http: reqwest::Client,
    pub(crate) secret: String,
    /// The first account, the cluster's admin.
    pub(crate) admin: User,
}

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) token: String,
}

impl Cluster {
    pub(crate) async fn start(nodes: usize, servers: usize) -> Self {
        Self::set_up(Setup::new(nodes, servers)).await
    }

    pub(crate) async fn set_up(setup: Setup) -> Self {
        let mut cluster = Self::prepare(&setup);
        cluster.start_all();
        cluster.wait_ready().await;
        cluster.admin = cluster.user("admin").await;
        cluster.wait_for_servers(setup.servers).await;
        cluster
    }

    /// Everything but the start.
    pub(crate) fn prepare(setup: &Setup) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let secret = hex::encode(SharedClock::system().random::<32>());
        write_secret(&dir.path().join("cluster.secret"), &secret);
        let (nodes, servers) = configure(dir.path(), setup, &ClusterSecret::parse(&secret).expect("it is one"));
        let http = ringmaster::trust::http()
            .redirect(reqwest::redirect::Policy::default())
            .timeout(TRANSFER)
            .build()
            .expect("an HTTP client");
        let admin = User { id: 0, token: String::new() };
        Self { dir, nodes, servers, http, secret, admin }
    }

    pub(crate) fn start_all(&mut self) {
        self.nodes.iter_mut().chain(&mut self.servers).for_each(Process::start);
    }

    pub(crate) fn kill_all(&mut self) {
        self.nodes.iter_mut().chain(&mut self.servers).for_each(Process::kill);
    }

    /// Every directory node that runs is ready.
    pub(crate) async fn wait_ready(&self) {
        self.wait_ready_after("its start").await;
    }

    /// As [`Self::wait_ready`], with a word of what came before.
    pub(crate) async fn wait_ready_after(&self, what: &str) {
        for node in self.nodes.iter().filter(|node| node.is_started()) {
            let url = format!("{}/readyz", node.url);
            until(&format!("{} is ready after {what}", node.name), async || {
                self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
            })
            .await;
        }
    }

    pub(crate) async fn wait_for_servers(&self, count: usize) {
        for at in 0..self.nodes.len() {
            if !self.nodes[at].is_started() {
                continue;
            }
            until(&format!("{count} file servers are up at {}", self.nodes[at].name), async || {
                let ring = self.get(at, "/ring").await.1;
                let servers = ring["servers"].as_array().cloned().unwrap_or_default();
                servers.iter().filter(|server| server["state"] == "up").count() == count
            })
            .await;
        }
    }

    /// The position of the node that leads, as the others see it.
    pub(crate) async fn leader(&self) -> usize {
        let mut leader = 0;
        until("the running nodes agree on a leader", async || {
            let mut seen = Vec::new();
            for at in (0..self.nodes.len()).filter(|at| self.nodes[*at].is_started()) {
                seen.push(self.get(at, "/cluster").await.1["leader_id"].as_u64());
            }
            let first = seen.first().copied().flatten();
            leader = first.map_or(0, |id| id as usize - 1);
            first.is_some() && seen.iter().all(|id| *id == first) && self.nodes[leader].is_started()
        })
        .await;
        leader
    }

    /// A node that does not lead.
    pub(crate) async fn follower(&self) -> usize {
        (self.leader().await + 1) % self.nodes.len()
    }

    pub(crate) fn url(&self, node: usize) -> &str {
        &self.nodes[node].url
    }

    /// Where the members of the cluster reach a directory node.
    pub(crate) fn member_url(&self, node: usize) -> String {
        self.nodes[node].ports[1].member_url()
    }

    fn authority(&self) -> Authority {
        Authority::new(&ClusterSecret::parse(&self.secret).expect("it is one")).expect("an authority")
    }

    /// A client that believes the cluster's authority, and shows no certificate.
    pub(crate) fn stranger(&self) -> reqwest::Client {
        client_of(Credentials::new(self.authority().public(), SharedClock::system()))
    }

    /// A client that calls directory nodes as this member, with a certificate that the cluster's authority has signed.
    pub(crate) fn member(&self, identity: Identity) -> reqwest::Client {
        let credentials = Credentials::issued(&self.authority(), identity, &SharedClock::system());
        client_of(credentials.expect("a certificate"))
    }

    /// A client that calls a file server, and no other, as this member.
    pub(crate) fn to_server(&self, identity: Identity, at: usize) -> reqwest::Client {
        let kept = fs::read(self.servers[at].data.join("server.json")).expect("it has an identity");
        let kept: Value = serde_json::from_slice(&kept).expect("JSON");
        let uuid = ServerUuid::parse(kept["uuid"].as_str().expect("a UUID")).expect("hexadecimal");
        let credentials = Credentials::issued(&self.authority(), identity, &SharedClock::system());
        let members = Members::new(credentials.expect("a certificate"), |client| client.timeout(TRANSFER));
        members.member(Identity::FileServer(uuid)).expect("an HTTP client")
    }

    /// Gives a file server another join token: with an empty disk it is a new one.
    pub(crate) fn renew_token(&self, at: usize) {
        let secret = ClusterSecret::parse(&self.secret).expect("it is one");
        let file = self.dir.path().join(format!("{}.token", self.servers[at].name));
        write_secret(&file, join_token(&secret, None).as_str());
    }

    /// A client that calls directory nodes with the very certificate of a file server.
    pub(crate) fn as_server(&self, at: usize) -> reqwest::Client {
        let kept = fs::read(self.servers[at].data.join("credentials.json")).expect("it has joined");
        let kept: Value = serde_json::from_slice(&kept).expect("JSON");
        let mut seed = [0; 32];
        hex::decode_to_slice(kept["seed"].as_str().expect("a key"), &mut seed).expect("32 bytes");
        let certificate = kept["given"]["certificate"].as_str().expect("a certificate");
        let certificate = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, certificate).expect("base64");
        let credentials = Credentials::new(self.authority().public(), SharedClock::system());
        credentials.show(certificate.into(), &seed).expect("a key for it");
        client_of(credentials)
    }

    /// A client with the deadlines of the command line, that is told of all nodes.
    pub(crate) fn client(&self) -> Directory {
        let urls = self.nodes.iter().map(|node| node.url.parse().expect("a url")).collect();
        Directory::new(urls, Some(self.admin.token.clone())).expect("a client")
    }

    /// Signs up and logs in.
    pub(crate) async fn user(&self, name: &str) -> User {
        let (mut body, key) = (json!({"username": name, "password": PASSWORD}), fresh_key());
        if self.admin.id == 0 {
            body["setup_code"] = json!(self.setup_code());
        }
        let sign_up = async |body: &Value, key: &str| {
            self.insisted(0, |node| self.call(None, node, "/signup", body).header(KEY, key)).await
        };
        let (mut status, mut account) = sign_up(&body, &key).await;
        // A cluster that was restored has accounts that nobody here has made.
        if status == 403 && self.admin.id == 0 {
            body["setup_code"] = Value::Null;
            (status, account) = sign_up(&body, &fresh_key()).await;
        }
        assert_eq!(status, 201, "{account}");
        self.log_in(name).await
    }

    /// What the first account is made with.
    pub(crate) fn setup_code(&self) -> String {
        SetupCode::of(&ClusterSecret::parse(&self.secret).expect("a valid secret")).to_string()
    }

    pub(crate) async fn log_in(&self, name: &str) -> User {
        let body = json!({"username": name, "password": PASSWORD});
        // Another session does no harm.
        let (status, login) = self.insisted(0, |node| self.call(None, node, "/login", &body)).await;
        assert_eq!(status, 200, "{name} logs in: {login}");
        let token = login["token"].as_str().expect("a token").to_owned();
        User { id: login["user_id"].as_u64().expect("an id"), token }
    }

    /// `GET` as the admin.
    pub(crate) async fn get(&self, node: usize, call: &str) -> (u16, Value) {
        self.get_as(&self.admin, node, call).await
    }

    pub(crate) async fn get_as(&self, user: &User, node: usize, call: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{call}", self.url(node))).bearer_auth(&user.token);
        answer(request.timeout(ANSWER)).await
    }

    /// `POST` of JSON as a user. Status 0 says that there was no answer.
    pub(crate) async fn post(&self, user: &User, node: usize, call: &str, body: &Value) -> (u16, Value) {
        answer(self.call(Some(user), node, call, body)).await
    }

    /// As [`Self::post`], but a change whose outcome nobody can tell is asked for again, at the next node, as the command
    /// line's client does: an election is no failure.
    pub(crate) async fn insist(&self, user: &User, node: usize, call: &str, body: &Value) -> (u16, Value) {
        let key = fresh_key();
        self.insisted(node, |node| self.call(Some(user), node, call, body).header(KEY, &key)).await
    }

    /// As [`Self::put`] without headers, and as [`Self::insist`].
    pub(crate) async fn insist_put(&self, user: &User, node: usize, call: &str, bytes: &[u8]) -> (u16, Value) {
        let key = fresh_key();
        self.insisted(node, |node| self.upload(user, node, call, bytes.to_vec()).header(KEY, &key).timeout(DEADLINE))
            .await
    }

    async fn insisted(&self, node: usize, request: impl Fn(usize) -> RequestBuilder) -> (u16, Value) {
        let (begun, mut at) = (Instant::now(), node);
        loop {
            if self.nodes[at].is_started() {
                let (status, said) = answer(request(at)).await;
                if !matches!(status, 0 | 503 | 504) {
                    return (status, said);
                }
                eprintln!("node {} answered {status} {said}", at + 1);
            }
            assert!(begun.elapsed() < DEADLINE, "not in {DEADLINE:?}: a request has an outcome");
            tokio::time::sleep(Duration::from_millis(25)).await;
            at = (at + 1) % self.nodes.len();
        }
    }

    fn call(&self, user: Option<&User>, node: usize, call: &str, body: &Value) -> RequestBuilder {
        let request = self.http.post(format!("{}{call}", self.url(node))).json(body).timeout(ANSWER);
        match user {
            Some(user) => request.bearer_auth(&user.token),
            None => request,
        }
    }

    /// `PUT` of bytes with extra headers; follows redirects as reqwest does.
    pub(crate) async fn put(
        &self,
        user: &User,
        node: usize,
        call: &str,
        bytes: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let request = self.upload(user, node, call, bytes);
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    fn upload(&self, user: &User, node: usize, call: &str, bytes: impl Into<reqwest::Body>) -> RequestBuilder {
        self.http.put(format!("{}{call}", self.url(node))).bearer_auth(&user.token).body(bytes)
    }

    /// The bytes of a file, or the status that was answered instead.
    pub(crate) async fn read(&self, user: &User, node: usize, path: &str) -> Result<Vec<u8>, u16> {
        let call = format!("{}/read?path={path}", self.url(node));
        let answer = self.http.get(call).bearer_auth(&user.token).send().await.map_err(|_| 0_u16)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(status);
        }
        Ok(answer.bytes().await.map_err(|_| 0_u16)?.to_vec())
    }

    /// What a process tells Prometheus.
    pub(crate) async fn metrics(&self, process: &Process) -> String {
        self.try_metrics(process).await.expect("metrics are served")
    }

    /// Nothing while it does not run.
    pub(crate) async fn try_metrics(&self, process: &Process) -> Option<String> {
        let request =
            self.http.get(format!("{}/metrics", process.metrics())).bearer_auth(METRICS_TOKEN).timeout(ANSWER);
        request.send().await.ok()?.error_for_status().ok()?.text().await.ok()
    }

    /// A value of a node's metrics.
    pub(crate) async fn metric(&self, node: usize, name: &str) -> u64 {
        let text = self.metrics(&self.nodes[node]).await;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .unwrap_or_else(|| panic!("no metric {name} in\n{text}"))
    }

    /// Every blob on the disks: server position, blob id, SHA-256 of its bytes.
    pub(crate) fn blobs_on_disks(&self) -> Vec<(usize, String, String)> {
        let mut found = Vec::new();
        for (at, server) in self.servers.iter().enumerate() {
            for file in files_below(&server.data.join("blobs")) {
                let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
                // What is deleted while this looks is not there.
                if name.len() == 32
                    && let Ok(bytes) = fs::read(&file)
                {
                    found.push((at, name, sha256(&bytes)));
                }
            }
        }
        found
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in self.nodes.iter().chain(&self.servers) {
                eprintln!("--- {}\n{}", process.name, process.log_tail());
            }
        }
        self.kill_all();
    }
}

fn configure(dir: &Path, setup: &Setup, secret: &ClusterSecret) -> (Vec<Process>, Vec<Process>) {
    let ports: Vec<[Port; 3]> = (0..setup.nodes).map(|_| [(); 3].map(|()| Port::take())).collect();
    let members: String = ports
        .iter()
        .enumerate()
        .map(|(at, [http, peer, _])| {
            format!(
                "[[cluster.members]]\nid = {}\nurl = \"{}\"\npeer = \"{}\"\n",
                at + 1,
                http.url(),
                peer.member_url()
            )
        })
        .collect();
    let directory: Vec<String> = ports.iter().map(|[_, peer, _]| format!("\"{}\"", peer.member_url())).collect();
    let mut nodes = Vec::new();
    for (at, [http, peer, metrics]) in ports.into_iter().enumerate() {
        let id = at + 1;
        let text = format!(
            "[node]\nid = {id}\ndata_dir = \"directory-{id}\"\nlisten = \"{}\"\nadvertise = \"{}\"\npeer_listen = \"{}\"\npeer_advertise = \"{}\"\n\
             [storage]\nreserve = \"1MiB\"\n[logins]\naddress_signups = 1000000\n[metrics]\nlisten = \"{}\"\n\
             [cluster]\nname = \"test\"\nsecret_file = \"cluster.secret\"\n{members}",
            http.address(),
            http.url(),
            peer.address(),
            peer.member_url(),
            metrics.address(),
        );
        let url = http.url();
        nodes.push(Process::new(
            dir,
            "directory",
            format!("directory-{id}"),
            url,
            &text,
            vec![http, peer, metrics],
            setup.environment.clone(),
        ));
    }
    let mut servers = Vec::new();
    for at in 0..setup.servers {
        let (port, metrics) = (Port::take(), Port::take());
        let id = at + 1;
        write_secret(&dir.join(format!("fileserver-{id}.token")), join_token(secret, None).as_str());
        let text = format!(
            "[server]\ndata_dir = \"fileserver-{id}\"\nlisten = \"{}\"\nadvertise = \"{}\"\nzone = \"a\"\n\
             [metrics]\nlisten = \"{}\"\n[cluster]\ndirectory = [{}]\njoin_token_file = \"fileserver-{id}.token\"\n",
            port.address(),
            port.member_url(),
            metrics.address(),
            directory.join(", "),
        );
        let url = port.member_url();
        let name = format!("fileserver-{id}");
        servers.push(Process::new(dir, "fileserver", name, url, &text, vec![port, metrics], Vec::new()));
    }
    (nodes, servers)
}

fn client_of(credentials: Credentials) -> reqwest::Client {
    Members::new(credentials, |client| client.timeout(TRANSFER)).of(Expected::AnyDirectory).expect("an HTTP client")
}

/// A token for one file server, good for an hour.
pub(crate) fn join_token(secret: &ClusterSecret, replaces: Option<ServerUuid>) -> SignedToken {
    let clock = SharedClock::system();
    let authority = Authority::new(secret).expect("an authority").public();
    let ends_ms = clock.wall_ms() + 3_600_000;
    JoinToken { authority, id: TokenId(clock.random_u128()), ends_ms, replaces }.sign(secret)
}

/// The status and what came with it. Status 0 says that there was no answer.
async fn answer(request: RequestBuilder) -> (u16, Value) {
    match request.send().await {
        Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)),
        Err(_) => (0, Value::Null),
    }
}

/// For its owner alone, as the program asks of it.
pub(crate) fn write_secret(file: &Path, text: &str) {
    fs::write(file, text).expect("the secret is written");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("its mode is set");
}

fn fresh_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, holds: impl AsyncFnMut() -> bool) {
    within(DEADLINE, what, holds).await;
}

/// Waits until a condition holds, for so long at most. A look at it that hangs is given up then as well.
pub(crate) async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(limit, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    });
    assert!(waited.await.is_ok(), "not in {limit:?}: {what}");
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// Bytes that differ from file to file and compress badly, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

//! A cluster of real processes on ports and in directories of its own.
//!
//! Ports come from below the kernel's ephemeral range, so that no outgoing connection takes one, and each is held by a
//! file lock for as long as its cluster lives, so that no other test does, in this process or another. A process that
//! is killed comes back on its old port.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a condition may take to come true. Generous: machines are shared.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
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

/// One directory node or file server, running or not.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) config: PathBuf,
    pub(crate) data: PathBuf,
    verb: &'static str,
    log: PathBuf,
    environment: Vec<(&'static str, String)>,
    child: Option<Child>,
    pub(crate) ports: Vec<Port>,
    /// The network namespace that it runs in, where it is not this one.
    pub(crate) namespace: Option<String>,
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
        let secret = format!("{:064x}", std::process::id() as u128 + u128::from(dir.path().as_os_str().len() as u64));
        fs::write(dir.path().join("cluster.secret"), &secret).expect("the secret is written");
        let (nodes, servers) = configure(dir.path(), setup);
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
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
        for node in self.nodes.iter().filter(|node| node.is_started()) {
            let url = format!("{}/readyz", node.url);
            until(&format!("{} is ready\n{}", node.name, node.log_tail()), async || {
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

    /// Signs up and logs in.
    pub(crate) async fn user(&self, name: &str) -> User {
        let body = json!({"username": name, "password": PASSWORD});
        let (status, account) = self.send_as(None, 0, "/signup", &body).await;
        assert_eq!(status, 201, "{account}");
        let (status, login) = self.send_as(None, 0, "/login", &body).await;
        assert_eq!(status, 200, "{login}");
        let token = login["token"].as_str().expect("a token").to_owned();
        User { id: account["user_id"].as_u64().expect("an id"), token }
    }

    /// `GET` as the admin.
    pub(crate) async fn get(&self, node: usize, call: &str) -> (u16, Value) {
        self.get_as(&self.admin, node, call).await
    }

    pub(crate) async fn get_as(&self, user: &User, node: usize, call: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{call}", self.url(node))).bearer_auth(&user.token);
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)),
            Err(_) => (0, Value::Null),
        }
    }

    /// `POST` of JSON as a user. Status 0 says that there was no answer.
    pub(crate) async fn post(&self, user: &User, node: usize, call: &str, body: &Value) -> (u16, Value) {
        self.send_as(Some(user), node, call, body).await
    }

    async fn send_as(&self, user: Option<&User>, node: usize, call: &str, body: &Value) -> (u16, Value) {
        let mut request = self.http.post(format!("{}{call}", self.url(node))).json(body);
        if let Some(user) = user {
            request = request.bearer_auth(&user.token);
        }
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)),
            Err(_) => (0, Value::Null),
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
        let mut request = self.http.put(format!("{}{call}", self.url(node))).bearer_auth(&user.token).body(bytes);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)),
            Err(_) => (0, Value::Null),
        }
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

    /// A value of a node's `/metrics`.
    pub(crate) async fn metric(&self, node: usize, name: &str) -> u64 {
        let answer = self.http.get(format!("{}/metrics", self.url(node))).send().await.expect("metrics are served");
        let text = answer.text().await.expect("metrics are text");
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

impl Process {
    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
        let binary = env!("CARGO_BIN_EXE_ringmaster");
        let mut command = Command::new(if self.namespace.is_some() { "ip" } else { binary });
        if let Some(namespace) = &self.namespace {
            command.args(["netns", "exec", namespace, binary]); // It becomes the binary, under the same process id.
        }
        let child = command
            .arg(self.verb)
            .arg("--config")
            .arg(&self.config)
            .envs(self.environment.iter().map(|(key, value)| (*key, value.as_str())))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log handle"))
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.child = Some(child);
    }

    /// `kill -9`, and wait until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until it ends by itself; its exit code.
    pub(crate) async fn wait_exit(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("its status is known") {
                return status.code();
            }
            if start.elapsed() > DEADLINE {
                let _ = child.kill();
                panic!("{} did not end\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// The largest resident memory so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process is there");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
    }

    pub(crate) fn log_text(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = File::open(&self.log) {
            let _ = file.read_to_string(&mut text);
        }
        text
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
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

fn configure(dir: &Path, setup: &Setup) -> (Vec<Process>, Vec<Process>) {
    let ports: Vec<(Port, Port)> = (0..setup.nodes).map(|_| (Port::take(), Port::take())).collect();
    let members: String = ports
        .iter()
        .enumerate()
        .map(|(at, (http, peer))| {
            format!("[[cluster.members]]\nid = {}\nurl = \"{}\"\npeer = \"{}\"\n", at + 1, http.url(), peer.url())
        })
        .collect();
    let directory: Vec<String> = ports.iter().map(|(http, _)| format!("\"{}\"", http.url())).collect();
    let mut nodes = Vec::new();
    for (at, (http, peer)) in ports.into_iter().enumerate() {
        let id = at + 1;
        let text = format!(
            "[node]\nid = {id}\ndata_dir = \"directory-{id}\"\nlisten = \"{}\"\nadvertise = \"{}\"\npeer_listen = \"{}\"\npeer_advertise = \"{}\"\n\
             [cluster]\nname = \"test\"\nsecret_file = \"cluster.secret\"\n{members}",
            http.address(),
            http.url(),
            peer.address(),
            peer.url(),
        );
        let url = http.url();
        nodes.push(Process::new(
            dir,
            "directory",
            format!("directory-{id}"),
            url,
            &text,
            vec![http, peer],
            setup.environment.clone(),
        ));
    }
    let mut servers = Vec::new();
    for at in 0..setup.servers {
        let port = Port::take();
        let id = at + 1;
        let text = format!(
            "[server]\ndata_dir = \"fileserver-{id}\"\nlisten = \"{}\"\nadvertise = \"{}\"\nzone = \"a\"\n\
             [cluster]\ndirectory = [{}]\nsecret_file = \"cluster.secret\"\n",
            port.address(),
            port.url(),
            directory.join(", "),
        );
        let url = port.url();
        servers.push(Process::new(dir, "fileserver", format!("fileserver-{id}"), url, &text, vec![port], Vec::new()));
    }
    (nodes, servers)
}

impl Process {
    pub(crate) fn new(
        dir: &Path,
        verb: &'static str,
        name: String,
        url: String,
        config: &str,
        ports: Vec<Port>,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        let file = dir.join(format!("{name}.toml"));
        fs::write(&file, config).expect("the configuration is written");
        let (data, log) = (dir.join(&name), dir.join(format!("{name}.log")));
        Self { name, url, config: file, data, verb, log, environment, child: None, ports, namespace: None }
    }
}

/// A port that nobody else uses while this lives.
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    const FIRST: u16 = 11_000;
    const COUNT: u16 = 20_000;

    pub(crate) fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let locks = std::env::temp_dir().join("ringmaster-test-ports");
        fs::create_dir_all(&locks).expect("a directory for the locks of ports");
        let start = (std::process::id() as u16).wrapping_mul(37);
        for _ in 0..Self::COUNT {
            let number = Self::FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % Self::COUNT;
            let lock = File::create(locks.join(number.to_string())).expect("a lock file");
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self { number, _lock: lock };
            }
        }
        panic!("no port is free");
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < DEADLINE, "not in {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
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

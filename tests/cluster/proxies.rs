//! Proxies in front of the nodes, with the very blocks that `docs/OPERATIONS.md` shows.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{Cluster, Port, noise, sha256, until};

const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");
/// nginx takes no more than 1 MiB with its default settings.
const SMALL: [usize; 3] = [0, 70_000, 1_000_000];
const LARGE: [usize; 4] = [0, 70_000, 1_500_000, 9_000_000];
/// So that each kind of upload meets each of the three nodes, wherever the turn is.
const TURNS: usize = 3;
const NGINX: [&str; 2] = ["nginx", "/usr/sbin/nginx"];
const HAPROXY: [&str; 2] = ["haproxy", "/usr/sbin/haproxy"];

#[tokio::test(flavor = "multi_thread")]
async fn nginx_with_its_defaults() {
    let block = "upstream ringmaster { server 10.0.0.1:7400; server 10.0.0.2:7400; server 10.0.0.3:7400; }
        server { listen 8080; location / { proxy_pass http://ringmaster; } }";
    behind(block, nginx, &SMALL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_as_documented() {
    behind(documented("nginx"), nginx, &LARGE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_as_documented() {
    behind(documented("caddyfile"), caddy, &LARGE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_as_documented() {
    behind(documented("haproxy"), haproxy, &LARGE).await;
}

pub(crate) fn caddy(dir: &Path, block: &str) -> Command {
    let file = dir.join("Caddyfile");
    // Its port for orders would be the same for all tests.
    fs::write(&file, format!("{{\n    admin off\n}}\n{block}")).expect("written");
    let mut caddy = Command::new("caddy");
    caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("HOME", dir);
    caddy
}

pub(crate) fn haproxy(dir: &Path, block: &str) -> Command {
    let file = dir.join("haproxy.cfg");
    fs::write(&file, format!("{block}\n")).expect("written");
    let mut haproxy = Command::new(installed(HAPROXY));
    haproxy.args(["-db", "-f"]).arg(file);
    haproxy
}

pub(crate) fn nginx(dir: &Path, block: &str) -> Command {
    let file = dir.join("nginx.conf");
    // As Debian has it, but in a directory of its own, which another user could not enter.
    let user = if nix_is_root() { "user root;" } else { "" };
    let text = format!(
        "{user} daemon off; pid {0}/nginx.pid; error_log stderr; events {{}}
        http {{ access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;
        fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
        {block} }}",
        dir.display()
    );
    fs::write(&file, text).expect("written");
    let mut nginx = Command::new(installed(NGINX));
    nginx.arg("-p").arg(dir).arg("-c").arg(file);
    nginx
}

fn nix_is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

/// Root's programs are not on everybody's path.
fn installed([plain, whole]: [&'static str; 2]) -> &'static str {
    if Path::new(whole).exists() { whole } else { plain }
}

/// The block of that language in the documentation.
pub(crate) fn documented(language: &str) -> &'static str {
    let (_, block) = OPERATIONS.split_once(&format!("```{language}\n")).expect("docs/OPERATIONS.md has the block");
    block.split_once("\n```").expect("the block ends").0
}

pub(crate) struct Proxy {
    child: Child,
    pub(crate) url: String,
    _port: Port,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // In order, so that workers go with it.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}

pub(crate) async fn start(cluster: &Cluster, block: &str, command: impl Fn(&Path, &str) -> Command) -> Proxy {
    let (dir, port) = (cluster.dir.path().join("proxy"), Port::take());
    fs::create_dir(&dir).expect("made");
    let mut block = block.replace("8080", port.address().rsplit(':').next().expect("a port"));
    for at in 0..3 {
        let node = cluster.url(at % cluster.nodes.len()).trim_start_matches("http://");
        block = block.replace(&format!("10.0.0.{}:7400", at + 1), node);
    }
    let log = File::create(dir.join("log")).expect("a log");
    let mut command = command(&dir, &block);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} ({error}): run scripts/prerequisites"));
    let proxy = Proxy { child, url: port.url(), _port: port };
    until("the proxy lets through", async || {
        let answer = cluster.http.get(format!("{}/readyz", proxy.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    proxy
}

async fn behind(block: &str, command: impl Fn(&Path, &str) -> Command, sizes: &[usize]) {
    let mut cluster = Cluster::start(3, 2).await;
    let proxy = start(&cluster, block, command).await;
    for size in sizes.iter().copied() {
        let bytes = noise(size as u64, size);
        let file = cluster.dir.path().join(format!("input-{size}"));
        fs::write(&file, &bytes).expect("written");
        let file = file.to_str().expect("a plain path");
        let form = format!("file=@{file}");
        let kinds: [(&str, &[&str]); 5] = [
            ("length", &["-T", file, "-H", "Expect:"]),
            ("expect", &["-T", file, "-H", "Expect: 100-continue"]),
            ("chunked", &["-T", "-"]),
            ("chunked-at-once", &["-T", "-", "-H", "Expect:"]),
            ("form", &["-F", &form]),
        ];
        for turn in 0..TURNS {
            for (kind, arguments) in kinds {
                let path = format!("/{kind}/{size}/{turn}");
                let told = upload(&cluster, &proxy, &path, file, arguments);
                assert!(told.starts_with("201 0 "), "{path}: {told}");
                assert!(told.contains(&sha256(&bytes)), "{path}: {told}");
                read_back(&cluster, &proxy, &path, &bytes).await;
            }
        }
    }

    let leader = cluster.leader().await;
    cluster.nodes[leader].kill();
    let bytes = noise(77, 70_000);
    let file = cluster.dir.path().join("after");
    fs::write(&file, &bytes).expect("written");
    let file = file.to_str().expect("a plain path");
    for turn in 0..6 {
        let path = format!("/after/{turn}");
        let key = format!("Idempotency-Key: after-{turn}");
        let mut told = String::new();
        until("an upload goes on without the leader", async || {
            told = upload(&cluster, &proxy, &path, file, &["-T", file, "-H", &key]);
            told.starts_with("201 0 ") || !["000", "502", "503", "504"].iter().any(|again| told.starts_with(again))
        })
        .await;
        assert!(told.starts_with("201 0 "), "{path}: {told}");
        until("it is read", async || fetch(&cluster, &proxy, &path, &[]).await.is_some_and(|read| read.1 == bytes))
            .await;
    }
    for size in sizes {
        let path = format!("/form/{size}/0");
        let bytes = noise(*size as u64, *size);
        until("what was stored before is read", async || {
            fetch(&cluster, &proxy, &path, &[]).await.is_some_and(|read| read == (200, bytes.clone()))
        })
        .await;
    }
}

/// Status, redirects and answer of an upload with curl, which follows redirects.
fn upload(cluster: &Cluster, proxy: &Proxy, path: &str, file: &str, arguments: &[&str]) -> String {
    let bearer = format!("Authorization: Bearer {}", cluster.admin.token);
    let output = Command::new("curl")
        .args(["-sSL", "--noproxy", "*", "--max-time", "60", "-o", "-", "-w", "\n%{http_code} %{num_redirects} "])
        .args(["-H", &bearer])
        .args(arguments)
        .arg(format!("{}/write?path={path}", proxy.url))
        .stdin(File::open(file).expect("the input is there"))
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (answer, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    format!("{status}{answer} {}", String::from_utf8_lossy(&output.stderr))
}

async fn read_back(cluster: &Cluster, proxy: &Proxy, path: &str, bytes: &[u8]) {
    assert_eq!(
        fetch(cluster, proxy, path, &[]).await.map(|read| (read.0, read.1 == bytes)),
        Some((200, true)),
        "{path}"
    );
    if bytes.len() > 20_000 {
        let range = [("Range", "bytes=10000-19999")];
        let part = fetch(cluster, proxy, path, &range).await.expect("an answer");
        assert_eq!((part.0, part.1 == bytes[10_000..20_000]), (206, true), "{path}");
        let end = fetch(cluster, proxy, path, &[("Range", "bytes=-7")]).await.expect("an answer");
        assert_eq!((end.0, end.1 == bytes[bytes.len() - 7..]), (206, true), "{path}");
    }
    let head = cluster.http.head(format!("{}/read?path={path}", proxy.url)).bearer_auth(&cluster.admin.token);
    let head = head.send().await.expect("an answer");
    assert_eq!(
        (head.status().as_u16(), head.headers()["content-length"].as_bytes()),
        (200, bytes.len().to_string().as_bytes())
    );
    let etag = head.headers()["etag"].to_str().expect("text").to_owned();
    assert_eq!(fetch(cluster, proxy, path, &[("If-None-Match", &etag)]).await.map(|read| read.0), Some(304));
}

/// Status and bytes of a read.
async fn fetch(cluster: &Cluster, proxy: &Proxy, path: &str, headers: &[(&str, &str)]) -> Option<(u16, Vec<u8>)> {
    let request = cluster.http.get(format!("{}/read?path={path}", proxy.url)).bearer_auth(&cluster.admin.token);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.ok()?;
    Some((answer.status().as_u16(), answer.bytes().await.ok()?.to_vec()))
}

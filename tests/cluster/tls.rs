//! Users over TLS: certificates that hold, that do not, and that are exchanged; the command line, redirects, HTTP/2.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use ringmaster::trust::for_users;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{Cluster, PASSWORD, Port, Setup, noise, sha256, until, write_secret};

/// An authority with its file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, params.self_signed(&key).expect("a certificate").pem()).expect("written");
        Self { issuer: Issuer::new(params, key), file }
    }

    /// For this machine, until the first day of a year.
    fn issue(&self, until: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).expect("names");
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(until, 1, 1));
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key.serialize_pem())
    }
}

/// Long after this is read.
const GOOD: i32 = 2150;
const EXPIRED: i32 = 2021;

/// The files that a node reads. Each is replaced as a whole, one after the other, as programs that renew do it.
fn show(dir: &Path, at: usize, (certificate, key): &(String, String)) {
    for (name, text) in [("certificate", certificate), ("key", key)] {
        let half = dir.join(format!("{name}-{at}.half"));
        write_secret(&half, text);
        fs::rename(half, dir.join(format!("{name}-{at}.pem"))).expect("replaced");
    }
}

/// A cluster whose nodes serve users over TLS, with certificates of that authority. Nothing of it runs.
async fn prepare(nodes: usize, servers: usize, until: i32) -> (Cluster, Authority) {
    let mut cluster = Cluster::prepare(&Setup::new(nodes, servers));
    let dir = cluster.dir.path().to_owned();
    let authority = Authority::new(&dir, "authority");
    let mut moves = Vec::new();
    for (at, node) in cluster.nodes.iter_mut().enumerate() {
        show(&dir, at, &authority.issue(until));
        node.set_environment(
            "RINGMASTER__TLS__CERTIFICATE",
            dir.join(format!("certificate-{at}.pem")).display().to_string(),
        );
        node.set_environment("RINGMASTER__TLS__KEY", dir.join(format!("key-{at}.pem")).display().to_string());
        let plain = node.url.clone();
        node.url = plain.replace("http://", "https://");
        moves.push((plain, node.url.clone()));
    }
    for node in &cluster.nodes {
        let text = fs::read_to_string(&node.config).expect("its configuration");
        fs::write(&node.config, moves.iter().fold(text, |text, (old, new)| text.replace(old, new))).expect("written");
    }
    cluster.http = client(&authority.file);
    (cluster, authority)
}

async fn start(nodes: usize, servers: usize) -> (Cluster, Authority) {
    let (mut cluster, authority) = prepare(nodes, servers, GOOD).await;
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(servers).await;
    (cluster, authority)
}

fn client(authority: &Path) -> reqwest::Client {
    let builder = for_users(Some(authority)).expect("an authority").timeout(Duration::from_secs(120));
    builder.redirect(reqwest::redirect::Policy::default()).build().expect("a client")
}

/// A person's command line, in a home of its own and on a machine that knows no authority.
struct Person {
    home: tempfile::TempDir,
    urls: String,
}

impl Person {
    fn of(cluster: &Cluster) -> Self {
        let urls: Vec<&str> = cluster.nodes.iter().map(|node| node.url.as_str()).collect();
        Self { home: tempfile::TempDir::new().expect("a home"), urls: urls.join(",") }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringmaster"));
        command
            .args(arguments)
            .env("RINGMASTER_URL", &self.urls)
            .env("HOME", self.home.path())
            .env("SSL_CERT_FILE", "/nothing/there.pem")
            .env("SSL_CERT_DIR", "/nothing/there")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("RINGMASTER_TOKEN")
            .env_remove("RINGMASTER_CA_FILE")
            .current_dir(self.home.path());
        command
    }

    fn runs(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_goes_over_https_and_a_login_keeps_the_authority() {
    let (cluster, authority) = start(3, 2).await;
    let person = Person::of(&cluster);
    let (ca, wrong) = (authority.file.to_str().expect("plain"), Authority::new(cluster.dir.path(), "another"));
    let login = ["login", "admin", "--password", PASSWORD];
    for untrusted in [&login[..], &[&login[..], &["--ca-file", wrong.file.to_str().expect("plain")]].concat()] {
        let said = person.fails(untrusted);
        assert!(said.contains("--ca-file") && said.contains("https://127.0.0.1"), "{said}");
    }
    let missing = person.command(&[&login[..], &["--ca-file", "nothing.pem"]].concat()).output().expect("it runs");
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    person.runs(&[&login[..], &["--ca-file", ca]].concat());

    // The tour, without naming it again.
    let bytes = noise(5, 3_000_000);
    fs::write(person.home.path().join("file"), &bytes).expect("written");
    person.runs(&["mkdir", "/dir"]);
    person.runs(&["put", "file", "/dir/file"]);
    assert!(person.runs(&["ls", "/dir"]).contains("file"));
    assert!(person.runs(&["stat", "/dir/file", "--json"]).contains(&sha256(&bytes)));
    person.runs(&["mv", "/dir/file", "/dir/moved"]);
    person.runs(&["cp", "/dir/moved", "/dir/copy"]);
    person.runs(&["get", "/dir/copy", "back"]);
    assert_eq!(fs::read(person.home.path().join("back")).expect("there"), bytes);
    let lock: serde_json::Value = serde_json::from_str(&person.runs(&["lock", "/dir/copy", "--json"])).expect("JSON");
    person.runs(&["unlock", lock["lock_token"].as_str().expect("a token")]);
    assert!(person.runs(&["cluster", "status"]).contains("https://127.0.0.1"));
    person.runs(&["whoami"]);
    person.runs(&["rm", "/dir/copy"]);
    person.runs(&["logout"]);
    // By the variable, with a token, without a login.
    let mut command = person.command(&["ls", "/dir"]);
    command.env("RINGMASTER_CA_FILE", ca).env("RINGMASTER_TOKEN", &cluster.admin.token);
    assert!(command.output().expect("it runs").status.success());

    // What is said to who comes without TLS, and to who brings it where there is none.
    let plain = person.urls.replace("https://", "http://");
    let output = Command::new("curl").args(["-sS", plain.split(',').next().expect("one")]).output().expect("curl runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("write https://"), "{output:?}");
    let other = Cluster::start(1, 0).await;
    let url = other.url(0).replace("http://", "https://");
    let said = person.fails(&["login", "admin", "--password", PASSWORD, "--url", &url]);
    assert!(said.contains("speaks no TLS"), "{said}");
    // A machine without any authority is a machine like any other for who speaks plain HTTP.
    person.runs(&["login", "admin", "--password", PASSWORD, "--url", other.url(0)]);
}

fn curl(arguments: &[&str]) -> Output {
    Command::new("curl").args(["-sS", "--max-time", "60"]).args(arguments).output().expect("curl runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_lead_to_https_and_http2_carries_it() {
    let (cluster, authority) = start(3, 2).await;
    let ca = authority.file.to_str().expect("plain");
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let (bytes, input) = (noise(9, 2_000_000), cluster.dir.path().join("input"));
    fs::write(&input, &bytes).expect("written");
    let (input, bearer) = (input.to_str().expect("plain"), format!("Authorization: Bearer {}", cluster.admin.token));
    let put = |version: &str, token: &str, more: &[&str]| {
        let url = format!("{}/write?path=/{}", cluster.url(follower), version.trim_start_matches('-'));
        let told = "\n%{http_code} %{num_redirects} %{http_version} %{url_effective}";
        let output =
            curl(&[&["-L", version, "--cacert", ca, "-H", token, "-T", input, "-w", told, &url], more].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (answer, told) = text.rsplit_once('\n').unwrap_or_default();
        (told.to_owned(), answer.to_owned(), output)
    };
    // curl asks for a redirect over HTTP/1.1 alone, by `Expect`. Over HTTP/2 the node takes the bytes itself.
    for (version, begins, at) in [("--http1.1", "201 1 1.1", leader), ("--http2", "201 0 2", follower)] {
        let (told, answer, output) = put(version, &bearer, &[]);
        assert!(told.starts_with(&format!("{begins} {}/", cluster.url(at))), "{told} {answer} {output:?}");
        assert!(answer.contains(&sha256(&bytes)), "{answer}");
    }
    // Who is refused reads why, though most of the body was not sent by then.
    for _ in 0..5 {
        let (told, answer, output) = put("--http2", "Authorization: Bearer nonsense", &[]);
        assert!(told.starts_with("401 0 2 ") && answer.contains("unauthenticated"), "{told} {answer} {output:?}");
    }
    // Many at once, on one connection.
    let urls: Vec<String> = (0..40).map(|_| format!("{}/read?path=/http2", cluster.url(follower))).collect();
    let mut arguments = vec!["--http2", "--parallel", "--parallel-max", "40", "--cacert", ca, "-H", &bearer];
    for url in &urls {
        arguments.extend(["-o", "/dev/null", "-w", "%{http_code} %{http_version} %{size_download}\n", url]);
    }
    let output = curl(&arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let whole = format!("200 2 {}", bytes.len());
    assert_eq!(text.lines().filter(|line| *line == whole).count(), urls.len(), "{text} {output:?}");
    // A client that was given https alone sends nothing to a node that is named without.
    assert_eq!(cluster.post(&cluster.admin, follower, "/mkdir", &json!({"path": "/d"})).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_run_out_is_named_at_both_ends() {
    let (mut cluster, authority) = prepare(1, 0, EXPIRED).await;
    cluster.start_all();
    let person = Person::of(&cluster);
    until("it listens", async || TcpStream::connect(cluster.nodes[0].ports[0].address()).await.is_ok()).await;
    let ca = authority.file.to_str().expect("plain");
    let said = person.fails(&["login", "admin", "--password", PASSWORD, "--ca-file", ca]);
    assert!(said.contains("has run out"), "{said}");
    assert!(cluster.nodes[0].log_text().contains("the certificate for users has run out"));
    let text = cluster.metrics(&cluster.nodes[0]).await;
    let days = text.lines().find_map(|line| line.strip_prefix("ringmaster_tls_certificate_days ")).expect("it is told");
    assert!(days.parse::<i64>().expect("a number") < 0, "{days}");
    // The right one is taken without a restart, and the wrong one not taken back.
    show(cluster.dir.path(), 0, &authority.issue(GOOD));
    cluster.wait_ready().await;
    show(cluster.dir.path(), 0, &authority.issue(EXPIRED));
    until("it is refused", async || refused(&cluster).await == 1).await;
    cluster.wait_ready().await;
}

async fn refused(cluster: &Cluster) -> u64 {
    cluster.metric(0, "ringmaster_tls_certificate_refused").await
}

async fn reloads(cluster: &Cluster) -> u64 {
    cluster.metric(0, "ringmaster_tls_certificate_reloads_total").await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_exchanged_under_load_without_a_failed_request() {
    let (cluster, authority) = start(1, 1).await;
    let dir = cluster.dir.path();
    assert_eq!(cluster.put(&cluster.admin, 0, "/write?path=/f", noise(1, 50_000), &[]).await.0, 201);
    let (ends, done, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut load = Vec::new();
    for kept in [true, false, false, true] {
        // With a handshake for each request, and with one for all.
        let builder = for_users(Some(&authority.file)).expect("an authority");
        let http = builder.pool_max_idle_per_host(usize::from(kept)).build().expect("a client");
        let (url, token) = (format!("{}/read?path=/f", cluster.url(0)), cluster.admin.token.clone());
        let (ends, done, failed) = (ends.clone(), done.clone(), failed.clone());
        load.push(tokio::spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                let whole = async {
                    let answer = http.get(&url).bearer_auth(&token).send().await?.error_for_status()?;
                    answer.bytes().await.map(|bytes| bytes.len())
                };
                match whole.await {
                    Ok(50_000) => drop(done.fetch_add(1, Ordering::Relaxed)),
                    other => {
                        eprintln!("{other:?}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }));
    }
    let mut seen = 0;
    for round in 0..3 {
        show(dir, 0, &authority.issue(GOOD));
        if round == 1 {
            let hung_up = Command::new("kill").args(["-HUP", &cluster.nodes[0].pid().to_string()]).status();
            assert!(hung_up.expect("kill runs").success());
        }
        until("another one is shown", async || reloads(&cluster).await > seen).await;
        seen = reloads(&cluster).await;
        // What cannot be used changes nothing but what is told.
        let (certificate, key) = authority.issue(GOOD);
        let broken = [("nonsense".to_owned(), key), (certificate, authority.issue(GOOD).1)];
        show(dir, 0, &broken[round % 2]);
        until("the broken one is told of", async || refused(&cluster).await == 1).await;
    }
    show(dir, 0, &authority.issue(GOOD));
    until("the last one is shown", async || reloads(&cluster).await > seen && refused(&cluster).await == 0).await;
    let before = done.load(Ordering::Relaxed);
    until("the load goes on", async || done.load(Ordering::Relaxed) > before + 20).await;
    ends.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("no panic");
    }
    assert_eq!(failed.load(Ordering::Relaxed), 0);
    assert!(cluster.nodes[0].log_text().contains("the one before is still shown: mend the files"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_would_serve_others_in_clear_does_not_start() {
    let (cluster, authority) = prepare(1, 0, GOOD).await;
    let (dir, free) = (cluster.dir.path(), Port::take());
    let open = format!("node.listen={}", free.address().replace("127.0.0.1", "0.0.0.0"));
    let key = dir.join("key-0.pem");
    let refused = |settings: &[&str]| {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "10", env!("CARGO_BIN_EXE_ringmaster"), "directory", "--config"]);
        command.arg(&cluster.nodes[0].config);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let ended = command.output().expect("it runs");
        assert!(ended.status.code().is_some_and(|code| code != 0 && code != 137), "{settings:?}: {ended:?}");
        assert!(!cluster.nodes[0].data.exists(), "nothing is touched before");
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let said = refused(&[&open]);
    assert!(said.contains("`tls.certificate`") && said.contains("`insecure = true`"), "{said}");
    let certificate = format!("tls.certificate={}", dir.join("certificate-0.pem").display());
    let named = format!("tls.key={}", key.display());
    let said = refused(&[&certificate]);
    assert!(said.contains("`tls.key` is not"), "{said}");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("set");
    let said = refused(&[&certificate, &named]);
    assert!(said.contains(&format!("chmod 600 {}", key.display())), "{said}");
    write_secret(&key, &authority.issue(GOOD).1);
    let said = refused(&[&certificate, &named]);
    assert!(said.contains("cannot be used together"), "{said}");
}

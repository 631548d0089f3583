//! What is wrong is said in words, with a stable code, and loses nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Cluster, Port, Process, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    let cluster = Cluster::set_up(Setup::new(3, 2).with("RINGMASTER__LIMITS__MAX_FILE_BYTES", "100000")).await;
    let admin = &cluster.admin;
    let long = "x".repeat(256);
    let deep = "/d".repeat(129);
    for node in 0..3 {
        for path in ["/a/../b", "/./a", "/a//b", "/a/", "/nul%00", "/tab%09", "", &format!("/{long}"), &deep, "/%FF"] {
            let (status, answer) = cluster.put(admin, node, &format!("/write?path={path}"), "x", &[]).await;
            let code = answer["code"].as_str().unwrap_or("").to_owned();
            assert!(
                status == 400 && (code == "invalid_path" || code == "invalid_request"),
                "{path}: {status} {answer}"
            );
            assert!(answer["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{answer}");
            assert!(answer["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{answer}");
        }
        for (call, status, code) in [
            ("/stat?file_id=999999", 404, "not_found"),
            ("/stat?path=/nothing", 404, "not_found"),
            ("/stat?owner=nobody&path=/x", 404, "not_found"),
            ("/read?file_id=999999", 404, "not_found"),
            ("/stat?file_id=abc", 400, "invalid_request"),
            ("/stat", 400, "invalid_request"),
            ("/stat?file_id=1&path=/x", 400, "invalid_request"),
            ("/all?limit=0", 400, "invalid_request"),
            ("/all?limit=100000", 400, "invalid_request"),
            ("/all?cursor=garbage", 400, "invalid_request"),
            ("/no-such-call", 404, "not_found"),
            ("/write?path=/x", 405, "method_not_allowed"),
        ] {
            let (got, answer) = cluster.get(node, call).await;
            assert_eq!((got, answer["code"].as_str()), (status, Some(code)), "{call}: {answer}");
        }
        let (status, answer) = cluster.put(admin, node, "/write?path=/big", vec![b'x'; 100_001], &[]).await;
        assert_eq!((status, answer["code"].as_str()), (413, Some("too_large")), "{answer}");
        let pieces = futures_util::stream::iter((0..101).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 1000])));
        let (status, answer) =
            cluster.put(admin, node, "/write?path=/big", reqwest::Body::wrap_stream(pieces), &[]).await;
        assert_eq!((status, answer["code"].as_str()), (413, Some("too_large")), "{answer}");
        let digest = [("Repr-Digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")];
        let (status, answer) = cluster.put(admin, node, "/write?path=/digest", "x", &digest).await;
        assert_eq!((status, answer["code"].as_str()), (422, Some("checksum_mismatch")), "{answer}");
        for body in ["{", "[]", "{\"path\": 7}", "null", "{\"username\": \"\\u0000\"}"] {
            let request = cluster.http.post(format!("{}/mkdir", cluster.url(node))).bearer_auth(&admin.token);
            let answer = request.body(body).send().await.expect("an answer");
            let (status, answer) = (answer.status().as_u16(), answer.json::<Value>().await.expect("a problem"));
            assert_eq!((status, answer["code"].as_str()), (400, Some("invalid_request")), "{body}: {answer}");
        }
        let huge = format!("{{\"path\": \"{}\"}}", "y".repeat(2 << 20));
        let request = cluster.http.post(format!("{}/mkdir", cluster.url(node))).bearer_auth(&admin.token);
        assert_eq!(request.body(huge).send().await.expect("an answer").status(), 413);
        let (status, answer) =
            cluster.post(admin, node, "/signup", &json!({"username": "admin", "password": "correct horse"})).await;
        assert_eq!((status, answer["code"].as_str()), (409, Some("already_exists")), "{answer}");
        for (name, password) in [
            ("x", "short"),
            ("x", "Password1"),
            ("benjamin", "benjamin1"),
            ("", "long enough"),
            ("UPPER CASE", "long enough"),
            ("a\u{202e}b", "long enough"),
            ("a\u{200b}b", "long enough"),
            ("a/b", "long enough"),
            ("a:b", "long enough"),
        ] {
            let (status, answer) =
                cluster.post(admin, node, "/signup", &json!({"username": name, "password": password})).await;
            assert_eq!((status, answer["code"].as_str()), (400, Some("invalid_request")), "{answer}");
        }
        let (status, answer) =
            cluster.post(admin, node, "/login", &json!({"username": "admin", "password": "wrong password"})).await;
        assert_eq!((status, answer["code"].as_str()), (401, Some("unauthenticated")), "{answer}");
        // Bodies that break off, with a length and in chunks.
        for head in [
            "Content-Length: 5000\r\n\r\n12345",
            "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
            "Content-Length: nonsense\r\n\r\n",
        ] {
            let answer = raw(
                &cluster,
                node,
                &format!(
                    "PUT /write?path=/broken HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{head}",
                    admin.token
                ),
            );
            assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        }
    }
    assert_eq!(cluster.get(0, "/all").await.1["files"], json!([]), "nothing of it became visible");
    assert_eq!(cluster.put(admin, 0, "/write?path=/fine", "fine", &[]).await.0, 201);
    assert_eq!(cluster.put(admin, 0, "/write?path=/fine/below", "x", &[]).await.0, 409, "a file is no directory");
    assert_eq!(cluster.read(admin, 1, "/fine").await, Ok(b"fine".to_vec()));
}

/// Sends the text, closes the sending side, and reads what comes back.
fn raw(cluster: &Cluster, node: usize, text: &str) -> String {
    let address = cluster.url(node).trim_start_matches("http://").to_owned();
    let mut connection = TcpStream::connect(address).expect("the node listens");
    connection.write_all(text.as_bytes()).expect("it is sent");
    connection.shutdown(std::net::Shutdown::Write).expect("the sending side closes");
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn operators() {
    let mut cluster = Cluster::start(1, 1).await;
    let config = fs::read_to_string(&cluster.nodes[0].config).expect("the configuration");

    // A key that nobody knows.
    let (code, said) = run_directory(&cluster, &config.replace("peer_listen", "peer_lisen"), "misspelt");
    assert_ne!(code, 0);
    assert!(said.contains("peer_lisen"), "{said}");

    // A port in use.
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = busy.local_addr().expect("its address").to_string();
    let listen = config.lines().find(|line| line.starts_with("listen = ")).expect("it listens").to_owned();
    let text = config.replace(&listen, &format!("listen = \"{taken}\"")).replace("directory-1", "elsewhere");
    let (code, said) = run_directory(&cluster, &text, "busy");
    assert_ne!(code, 0);
    assert!(said.contains(&taken) && said.contains("in use"), "{said}");

    // A data directory that a running process has, of another node, and of another role.
    let other_ports = [(); 3].map(|()| Port::take());
    let text = moved(&cluster.nodes[0].ports, &config, &other_ports);
    let (code, said) = run_directory(&cluster, &text, "shared");
    assert_ne!(code, 0);
    assert!(said.to_lowercase().contains("another process") || said.contains("in use"), "{said}");
    cluster.nodes[0].kill();
    cluster.servers[0].kill();
    let (code, said) = run_directory(&cluster, &text.replace("id = 1", "id = 7"), "other-node");
    assert_ne!(code, 0);
    assert!(said.contains("node 1") || said.contains("id 1"), "{said}");
    let (code, said) = run_directory(&cluster, &text.replace("directory-1", "fileserver-1"), "other-role");
    assert_ne!(code, 0);
    assert!(said.contains("file server"), "{said}");

    // A corrupt log: the node says so, ends, and deletes nothing.
    let raft = cluster.nodes[0].data.join("raft");
    let tables = crate::support::files_below(&raft);
    let log = tables
        .iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "log" || ending == "sst"))
        .max_by_key(|file| fs::metadata(file).map(|meta| meta.len()).unwrap_or(0))
        .expect("the log has files")
        .clone();
    let sound = fs::read(&log).expect("the log is readable");
    let mut broken = sound.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 0xFF;
    fs::write(&log, &broken).expect("the log is damaged");
    cluster.nodes[0].start();
    let code = cluster.nodes[0].wait_exit().await;
    let said = cluster.nodes[0].log_tail();
    assert!(code.is_some_and(|code| code != 0), "{said}");
    assert!(said.contains("raft") && (said.contains("orrupt") || said.contains("damaged")), "{said}");
    fs::write(&log, &sound).expect("the log is mended");
    cluster.nodes[0].start();
    cluster.servers[0].start();
    cluster.wait_ready().await;
    assert_eq!(cluster.get(0, "/stat?path=/").await.0, 200, "nothing was lost");

    // A file server's data directory under another cluster.
    let other = Cluster::start(1, 1).await;
    cluster.servers[0].kill();
    let (text, metrics) = (fs::read_to_string(&cluster.servers[0].config).expect("the configuration"), Port::take());
    let text = text
        .replace(&cluster.member_url(0), &other.member_url(0))
        .replace(&cluster.servers[0].ports[1].address(), &metrics.address())
        .replace("fileserver-1.token", other.dir.path().join("fileserver-1.token").to_str().expect("text"));
    let mut stranger =
        Process::new(cluster.dir.path(), "fileserver", "stranger".to_owned(), String::new(), &text, vec![], vec![]);
    stranger.start();
    let code = stranger.wait_exit().await;
    assert!(code.is_some_and(|code| code != 0), "{}", stranger.log_tail());
    assert!(stranger.log_tail().contains("cluster"), "{}", stranger.log_tail());
}

/// The same node on other ports.
fn moved(from: &[Port], config: &str, to: &[Port]) -> String {
    from.iter().zip(to).fold(config.to_owned(), |config, (old, new)| config.replace(&old.address(), &new.address()))
}

/// Runs a directory node that is expected to end by itself; its exit code and what it said.
fn run_directory(cluster: &Cluster, config: &str, name: &str) -> (i32, String) {
    let file = cluster.dir.path().join(format!("{name}.toml"));
    fs::write(&file, config).expect("the configuration is written");
    let output = Command::new("timeout")
        .args(["-s", "KILL", "30", env!("CARGO_BIN_EXE_ringmaster"), "directory", "--config"])
        .arg(&file)
        .output()
        .expect("the binary runs");
    let code = output.status.code().unwrap_or(0); // Killed at the deadline: it did not end by itself.
    (code, String::from_utf8_lossy(&output.stderr).into_owned())
}

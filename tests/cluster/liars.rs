//! Strangers at the addresses of dead members, and members at addresses that are not theirs. Whatever they say, they are not
//! believed, and nothing is told to them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use ringmaster::clock::SharedClock;
use ringmaster::domain::{NodeId, ServerUuid};
use ringmaster::protocol::secret::ClusterSecret;
use ringmaster::trust::{Authority, Credentials, Identity};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::member_tls;
use crate::support::{Cluster, Setup, until};

/// How somebody pretends to be a member.
#[derive(Clone, Copy, Debug)]
enum As {
    /// Without TLS, with a friendly answer to everything.
    Plain,
    /// With the member's name in a certificate of another cluster.
    Foreign(Identity),
    /// With a true certificate of this cluster for another role or member.
    Other(Identity),
}

/// Somebody at an address.
struct Liar {
    /// Requests that came through.
    requests: Arc<AtomicUsize>,
    /// Everything that was sent in clear.
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Liar {
    async fn at(address: &str, how: As, secret: &str) -> Self {
        let (requests, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let mut listener = None;
        until("the address is free", async || {
            listener = TcpListener::bind(address).await.ok();
            listener.is_some()
        })
        .await;
        let listener = listener.expect("bound");
        let ours = ClusterSecret::parse(secret).expect("a secret");
        let credentials = |secret: &ClusterSecret, identity| {
            let authority = Authority::new(secret).expect("an authority");
            Credentials::issued(&authority, identity, &SharedClock::system()).expect("a certificate")
        };
        let credentials = match how {
            As::Plain => {
                tokio::spawn(plain(listener, heard.clone()));
                return Self { requests, heard };
            }
            As::Foreign(identity) => credentials(&ClusterSecret::from_bytes([3; 32]), identity),
            As::Other(identity) => credentials(&ours, identity),
        };
        let counted = requests.clone();
        let router = Router::new().fallback(async move || {
            counted.fetch_add(1, Ordering::SeqCst);
            StatusCode::OK
        });
        member_tls::serve(listener, &credentials, router);
        Self { requests, heard }
    }

    /// Nothing came through, and nothing of the secret.
    fn learnt_nothing(&self, secret: &str, what: &str) {
        assert_eq!(self.requests.load(Ordering::SeqCst), 0, "{what}: requests came through");
        let heard = self.heard.lock().expect("no handler panics");
        let contains = |needle: &[u8]| heard.windows(needle.len()).any(|window| window == needle);
        assert!(!contains(secret.as_bytes()), "{what}: it heard the secret");
        assert!(!contains(b"HTTP/1.1"), "{what}: a request came in clear");
    }
}

async fn plain(listener: TcpListener, heard: Arc<Mutex<Vec<u8>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let heard = heard.clone();
        tokio::spawn(async move {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut piece).await {
                heard.lock().expect("no handler panics").extend_from_slice(&piece[..count]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            }
        });
    }
}

/// One true node of three makes no majority, whoever answers at the addresses of the two others.
#[tokio::test(flavor = "multi_thread")]
async fn who_answers_at_a_dead_nodes_address_makes_no_majority() {
    let server = As::Other(Identity::FileServer(ServerUuid(1)));
    for how in [As::Plain, As::Foreign(Identity::Directory(NodeId(2))), server] {
        let mut cluster = Cluster::start(3, 1).await;
        let secret = cluster.secret.clone();
        let (status, said) = cluster.insist(&cluster.admin, 0, "/mkdir", &json!({"path": "/before"})).await;
        assert_eq!(status, 201, "{said}");
        let mut liars = Vec::new();
        for at in [1, 2] {
            cluster.nodes[at].kill();
            // As the third node, the same stranger calls itself what it is not either.
            liars.push(Liar::at(&cluster.nodes[at].ports[1].address(), how, &secret).await);
        }
        for attempt in 0..4 {
            let body = json!({"path": format!("/never{attempt}")});
            let (status, said) = cluster.post(&cluster.admin, 0, "/mkdir", &body).await;
            assert!(!(200..300).contains(&status), "{how:?}: acknowledged without a majority: {said}");
        }
        for liar in &liars {
            liar.learnt_nothing(&secret, &format!("{how:?}"));
        }
    }
}

/// What strangers at the addresses of dead file servers acknowledge is not acknowledged to anybody.
#[tokio::test(flavor = "multi_thread")]
async fn who_answers_at_a_dead_file_servers_address_stores_nothing() {
    for how in [
        As::Plain,
        As::Foreign(Identity::FileServer(ServerUuid(1))),
        As::Other(Identity::FileServer(ServerUuid(1))),
        As::Other(Identity::Directory(NodeId(1))),
    ] {
        let setup = Setup::new(1, 2).with("RINGMASTER__DETECTION__DEAD_AFTER", "2s");
        let mut cluster = Cluster::set_up(setup).await;
        let secret = cluster.secret.clone();
        let mut liars = Vec::new();
        for at in [0, 1] {
            cluster.servers[at].kill();
            liars.push(Liar::at(&cluster.servers[at].ports[0].address(), how, &secret).await);
        }
        for attempt in 0..3 {
            let call = format!("/write?path=/f{attempt}");
            let (status, said) = cluster.put(&cluster.admin, 0, &call, "bytes", &[]).await;
            assert!(!(200..300).contains(&status), "{how:?}: acknowledged, and stored nowhere: {said}");
        }
        until("both are known to be down", async || {
            let ring = cluster.get(0, "/ring").await.1;
            ring["servers"].as_array().is_some_and(|servers| servers.iter().all(|server| server["state"] == "down"))
        })
        .await;
        for liar in &liars {
            liar.learnt_nothing(&secret, &format!("{how:?}"));
        }
    }
}

/// A file server tells nothing to who answers in the place of a directory node, and does not do what it says.
#[tokio::test(flavor = "multi_thread")]
async fn who_answers_in_the_place_of_a_directory_node_has_no_file_servers() {
    for how in [As::Plain, As::Foreign(Identity::Directory(NodeId(1))), As::Other(Identity::Operator)] {
        let mut cluster = Cluster::start(1, 1).await;
        let secret = cluster.secret.clone();
        let (status, _) = cluster.put(&cluster.admin, 0, "/write?path=/f", "bytes", &[]).await;
        assert_eq!(status, 201);
        cluster.nodes[0].kill();
        let liar = Liar::at(&cluster.nodes[0].ports[1].address(), how, &secret).await;
        until("its heartbeats are not taken", async || {
            cluster.servers[0].log_text().contains("does not take heartbeats")
        })
        .await;
        cluster.servers[0].kill();
        cluster.servers[0].start();
        until("it is not admitted", async || cluster.servers[0].log_text().contains("not admitted, will ask again"))
            .await;
        let alive = cluster.http.get(format!("{}/healthz", cluster.servers[0].metrics())).send().await;
        assert!(alive.is_ok_and(|answer| answer.status() == 200), "{how:?}: it goes on and asks again");
        liar.learnt_nothing(&secret, &format!("{how:?}"));
    }
}

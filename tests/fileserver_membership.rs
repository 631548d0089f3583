//! How a file server comes into its cluster and stays there, and whose data directory it takes.

mod fileserver_support;

use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::post;
use fileserver_support::*;
use ringmaster::client::blobs::{BlobError, ServerAddress};
use ringmaster::domain::{BlobId, ClusterId, Epoch, ServerId};
use ringmaster::protocol::api::ServerState;
use ringmaster::protocol::secret::ClusterSecret;
use tokio::net::{TcpListener, TcpSocket};

/// Takes connections and never answers: what a node looks like whose process hangs.
async fn hanging_node() -> String {
    let (listener, url) = bind().await;
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    url
}

/// Nobody listens there, and nobody else can as long as the socket lives.
fn dead_node() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = socket.local_addr().expect("bound");
    (socket, format!("http://{address}"))
}

/// Sends whoever asks somewhere else.
async fn redirecting_node(to: &str) -> String {
    let (listener, url) = bind().await;
    let location = format!("{to}/register");
    let redirect = move || async move { (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]) };
    let router = Router::new().route("/register", post(redirect));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn heartbeats(directory: &Directory, node: &str) -> usize {
    directory.with_ledger(|ledger| ledger.heartbeats.get(node).map_or(0, Vec::len))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_hears_of_it_however_slow_another_is() {
    let directory = Directory::new();
    let (one, two, three) = (directory.node().await, directory.node().await, directory.node().await);
    let dir = TempDir::new().expect("a temporary directory");
    // The third node is named by nobody but the directory itself.
    let (_dead, dead) = dead_node();
    let configured = vec![dead, hanging_node().await, one.clone(), two.clone()];
    let server = Server::start(dir.path(), configured).await;
    put(&client(), &server.address(), BlobId(1), b"12345").await.expect("stored");
    for node in [&one, &two, &three] {
        wait_until("twenty heartbeats at 50 ms each", || heartbeats(&directory, node) > 20).await;
    }
    wait_until("the totals are told", || {
        directory.with_ledger(|ledger| {
            let last = ledger.heartbeats[&three].last().expect("there are some");
            (last.used, last.blobs) == (5, 1) && last.free > 0 && last.capacity > last.free && last.epoch == Epoch(1)
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_registers_again_when_it_is_not_what_the_directory_thinks() {
    let it = Single::start().await;
    let server_id = it.at().server_id;
    let registrations = || it.directory.with_ledger(|ledger| ledger.registrations);

    let before = registrations();
    it.directory.with_ledger(|ledger| ledger.forgotten = true);
    wait_until("it registers when it is not known", || registrations() > before).await;

    let before = registrations();
    it.directory.with_ledger(|ledger| ledger.state = Some(ServerState::Down));
    wait_until("it registers when it was declared down", || registrations() > before).await;

    let old = it.at();
    it.directory.raise_epoch(server_id);
    wait_until("it takes the new epoch", || it.server.server.epoch() == Some(Epoch(2))).await;
    assert_eq!(it.server.server.server_id(), Some(server_id));
    let stale = put(&it.blobs, &old, BlobId(1), b"x").await;
    assert!(matches!(stale, Err(BlobError::Refused { .. })), "{stale:?}");
    let stored = put(&it.blobs, &it.at(), BlobId(1), b"x").await.expect("stored in the new epoch");
    assert_eq!(stored.epoch, Epoch(2));
    assert_eq!(get(&it.blobs, &old, BlobId(1), None).await.expect("reads do not need the epoch"), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_its_name_and_its_blobs() {
    let directory = Directory::new();
    let node = directory.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let bytes = content(1_500_000);
    let first = Server::start(dir.path(), vec![node.clone()]).await;
    let (server_id, old_url) = (first.address().server_id, first.url.clone());
    put(&client(), &first.address(), BlobId(1), &bytes).await.expect("stored");
    first.server.shutdown().await.expect("stopped");

    let second = Server::start(dir.path(), vec![node]).await;
    assert_eq!(second.address().server_id, server_id);
    assert_ne!(second.url, old_url);
    assert!(get(&client(), &second.address(), BlobId(1), None).await.expect("read") == bytes);
    second.server.shutdown().await.expect("stopped");

    // Without a directory it serves what it holds, and takes nothing.
    let (_dead, dead) = dead_node();
    let (server, url) = try_start(dir.path(), vec![dead]).await.expect("starts");
    let address = ServerAddress { server_id, epoch: Epoch(1), uuid: uuid(dir.path()), url };
    assert_eq!((server.server_id(), server.epoch()), (Some(server_id), None));
    assert!(get(&client(), &address, BlobId(1), None).await.expect("read") == bytes);
    let refused = put(&client(), &address, BlobId(2), b"x").await;
    assert!(
        matches!(&refused, Err(BlobError::Unreachable { cause, .. }) if cause.contains("not admitted")),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_the_word_of_the_admission() {
    /// The server's own bound.
    const PATIENCE: Duration = Duration::from_secs(2);
    let directory = Directory::new();
    directory.with_ledger(|ledger| ledger.lost_answers = 1);
    let dir = TempDir::new().expect("a temporary directory");
    let (server, url) = try_start(dir.path(), vec![directory.node().await]).await.expect("starts");
    wait_until("the directory has admitted it", || directory.with_ledger(|ledger| ledger.registrations > 0)).await;
    let address = ServerAddress { server_id: ServerId(1), epoch: Epoch(1), uuid: uuid(dir.path()), url };
    // The answer got lost: it hears of its admission when it asks again.
    let (blobs, began) = (client(), Instant::now());
    while let Err(error) = put(&blobs, &address, BlobId(1), b"x").await {
        assert!(began.elapsed() >= PATIENCE, "it did not wait: {error}");
        assert!(began.elapsed() < DEADLINE, "not in time: it is admitted: {error}");
    }
    assert_eq!(server.epoch(), Some(Epoch(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let directory = Directory::new();
    let node = directory.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let elsewhere = Directory::with(secret(), ClusterId(0xbad));
    let astray = redirecting_node(&elsewhere.node().await).await;
    let server = Server::start(dir.path(), vec![astray, node]).await;
    assert_eq!(server.address().server_id, ServerId(1));
    assert_eq!(elsewhere.with_ledger(|ledger| ledger.registrations), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_another_secret_does_not_admit_it() {
    let stranger = Directory::with(ClusterSecret::from_bytes([1; 32]), CLUSTER);
    let node = stranger.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let (server, _) = try_start(dir.path(), vec![node]).await.expect("starts");
    let admitted = tokio::time::timeout(Duration::from_millis(500), server.admitted()).await;
    assert!(admitted.is_err(), "it goes on asking");
    assert_eq!(stranger.with_ledger(|ledger| ledger.registrations), 0);
    server.shutdown().await.expect("stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_directory_of_another_cluster_is_not_taken() {
    let dir = TempDir::new().expect("a temporary directory");
    let own = Directory::new();
    let server = Server::start(dir.path(), vec![own.node().await]).await;
    server.server.shutdown().await.expect("stopped");

    let other = Directory::with(secret(), ClusterId(0xbad));
    let (server, _) = try_start(dir.path(), vec![other.node().await]).await.expect("starts");
    let error = tokio::time::timeout(DEADLINE, server.stopped()).await.expect("in time").expect_err("stops by itself");
    let text = format!("{error:#}");
    assert!(text.contains("belongs to cluster") && text.contains("cluster.directory"), "{text}");

    let forgetful = Directory::new();
    let another = TempDir::new().expect("a temporary directory");
    let node = forgetful.node().await;
    let first = Server::start(another.path(), vec![node.clone()]).await;
    let (server, _) = try_start(dir.path(), vec![node]).await.expect("starts");
    let error = tokio::time::timeout(DEADLINE, server.stopped()).await.expect("in time").expect_err("stops by itself");
    assert!(format!("{error:#}").contains("the directory has lost its state"), "{error:#}");
    assert_eq!(first.address().server_id, ServerId(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_is_in_use_or_not_its_own_is_not_taken() {
    let directory = Directory::new();
    let node = directory.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let server = Server::start(dir.path(), vec![node.clone()]).await;
    let error = try_start(dir.path(), vec![node.clone()]).await.expect_err("in use");
    assert!(format!("{error:#}").contains("in use by another file server"), "{error:#}");
    server.server.shutdown().await.expect("stopped");
    let again = Server::start(dir.path(), vec![node.clone()]).await;
    again.server.shutdown().await.expect("stopped");

    std::fs::write(dir.path().join("server.json"), "{").expect("written");
    let error = try_start(dir.path(), vec![node.clone()]).await.expect_err("damaged");
    assert!(format!("{error:#}").contains("is damaged"), "{error:#}");
    std::fs::remove_file(dir.path().join("server.json")).expect("removed");
    let error = try_start(dir.path(), vec![node.clone()]).await.expect_err("without an identity");
    assert!(format!("{error:#}").contains("put the file back"), "{error:#}");

    let of_a_node = TempDir::new().expect("a temporary directory");
    std::fs::write(of_a_node.path().join("node.json"), "{}").expect("written");
    let error = try_start(of_a_node.path(), vec![node.clone()]).await.expect_err("a directory node's");
    assert!(format!("{error:#}").contains("of a directory node"), "{error:#}");
    assert!(!of_a_node.path().join("blobs").exists(), "nothing was put there");

    let file = dir.path().join("a file");
    std::fs::write(&file, "").expect("written");
    assert!(try_start(&file, vec![node]).await.is_err());
    assert!(try_start(TempDir::new().expect("a temporary directory").path(), Vec::new()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_running_requests_finish() {
    use futures_util::{StreamExt, stream};
    use ringmaster::client::blobs::Blobs;
    use ringmaster::domain::CopyId;

    let it = Single::start().await;
    let at = it.at();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let body = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed();
    let putting = tokio::spawn(it.blobs.put(&at, new_copy(BlobId(1), CopyId(1), None), body));
    sender.send(Ok(content(2_000_000).into())).await.expect("taken");
    wait_until("the put has begun", || it.server.temporary_files() == 2).await;
    let finish = async {
        wait_until("no new connection is taken", || {
            std::net::TcpListener::bind(at.url.trim_start_matches("https://")).is_ok()
        })
        .await;
        drop(sender);
    };
    let (stopped, ()) = tokio::join!(it.server.server.shutdown(), finish);
    stopped.expect("stopped");
    let stored = putting.await.expect("no panic").expect("finished");
    assert_eq!(stored.size, 2_000_000);
    let freed = TcpListener::bind(at.url.trim_start_matches("https://")).await;
    assert!(freed.is_ok(), "the port is free");
}

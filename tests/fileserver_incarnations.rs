//! How a file server shows that its data directory is the one that was admitted before.

mod fileserver_support;

use std::time::Duration;

use fileserver_support::*;
use ringmaster::domain::{Epoch, ServerId};
use ringmaster::protocol::api::ServerState;
use ringmaster::protocol::registration::RegisterRequest;

fn requests(directory: &Directory) -> Vec<RegisterRequest> {
    directory.with_ledger(|ledger| ledger.requests.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_coming_names_the_one_before_also_after_a_restart() {
    let directory = Directory::new();
    let node = directory.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let server = Server::start(dir.path(), vec![node.clone()]).await;
    let first = requests(&directory).pop().expect("it asked");
    assert_eq!((first.server_id, first.last), (None, None), "nothing is known before the first admission");
    assert!(first.next.is_some());

    let asked = requests(&directory).len();
    directory.with_ledger(|ledger| ledger.state = Some(ServerState::Down));
    wait_until("it asks again when it is down", || requests(&directory).len() > asked).await;
    let second = requests(&directory).pop().expect("it asked");
    assert_eq!((second.server_id, second.last), (Some(ServerId(1)), first.next));
    assert_ne!(second.next, first.next);

    directory.with_ledger(|ledger| ledger.state = None);
    directory.raise_epoch(ServerId(1));
    wait_until("it takes the new epoch", || server.server.epoch() == Some(Epoch(2))).await;
    // Being down, it may have come more than once.
    let asked = requests(&directory);
    assert!(
        asked.len() > 1 && asked.windows(2).all(|pair| pair[1].last.is_some() && pair[1].last == pair[0].next),
        "{asked:?}"
    );
    server.server.shutdown().await.expect("stopped");

    let last = requests(&directory).pop().expect("it asked");
    let _server = Server::start(dir.path(), vec![node]).await;
    let again = requests(&directory).pop().expect("it asked");
    assert_eq!((again.uuid, again.server_id, again.last), (first.uuid, Some(ServerId(1)), last.next));
    assert_ne!(again.next, last.next);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_not_answered_asks_the_same_again() {
    let directory = Directory::new();
    let nodes = vec![directory.node().await, directory.node().await];
    let dir = TempDir::new().expect("a temporary directory");
    directory.with_ledger(|ledger| ledger.lost_answers = u32::MAX);
    let (server, _) = try_start(dir.path(), nodes.clone()).await.expect("starts");
    wait_until("it asks again and again", || requests(&directory).len() >= 5).await;
    server.shutdown().await.expect("stopped");
    directory.with_ledger(|ledger| ledger.lost_answers = 0);
    let _server = Server::start(dir.path(), nodes).await;
    let requests = requests(&directory);
    assert!(
        requests.iter().all(|request| (request.last, request.next) == (None, requests[0].next)),
        "the directory may have admitted any of them: {requests:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_goes_on_asking() {
    let directory = Directory::new();
    let node = directory.node().await;
    let dir = TempDir::new().expect("a temporary directory");
    let server = Server::start(dir.path(), vec![node.clone()]).await;
    server.server.shutdown().await.expect("stopped");
    for refusal in [(403, "another process with the same identity is alive"), (429, "come back in 10 s")] {
        directory.with_ledger(|ledger| ledger.refusal = Some(refusal));
        let before = requests(&directory).len();
        let (server, _) = try_start(dir.path(), vec![node.clone()]).await.expect("starts");
        wait_until("it asks again and again", || requests(&directory).len() >= before + 3).await;
        assert_eq!((server.server_id(), server.epoch()), (Some(ServerId(1)), None));
        directory.with_ledger(|ledger| ledger.refusal = None);
        let admitted = tokio::time::timeout(Duration::from_secs(20), server.admitted()).await;
        assert_eq!(admitted.expect("in time").expect("admitted"), (ServerId(1), Epoch(1)));
        server.shutdown().await.expect("stopped");
    }
}

//! What a read sees: everything that was acknowledged before it, and one moment of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::support::Cluster;

/// Every follower is asked at once for what the leader has just acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_seen_at_every_node() {
    const ROUNDS: usize = 200;
    let cluster = Cluster::start(3, 0).await;
    let admin = &cluster.admin;
    let leader = cluster.leader().await;
    for round in 0..ROUNDS {
        let path = format!("/{round}");
        let (status, made) = cluster.post(admin, leader, "/mkdir", &json!({"path": path})).await;
        assert_eq!(status, 201, "{made}");
        let look = async |node: usize| cluster.get(node, &format!("/stat?path={path}")).await;
        let (one, other) = tokio::join!(look((leader + 1) % 3), look((leader + 2) % 3));
        for (status, stat) in [one, other] {
            assert_eq!(status, 200, "{path} was acknowledged, and then a node read an older state: {stat}");
        }
    }
}

/// One file goes to and fro between the first and the last directory of a tree. Whatever moment a listing is of, the
/// file is in one of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_of_one_moment() {
    const BETWEEN: usize = 100;
    const LISTINGS: usize = 60;
    let cluster = Cluster::start(1, 1).await;
    let admin = &cluster.admin;
    for at in 0..BETWEEN {
        // A directory each, so that the listing has many places to look at.
        let call = format!("/write?path=/m{at:03}/f");
        let (status, stat) = cluster.put(admin, 0, &call, "x", &[]).await;
        assert_eq!(status, 201, "{stat}");
    }
    for path in ["/a", "/z"] {
        assert_eq!(cluster.post(admin, 0, "/mkdir", &json!({"path": path})).await.0, 201);
    }
    assert_eq!(cluster.put(admin, 0, "/write?path=/a/moving", "x", &[]).await.0, 201);

    let (done, moves) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mover = async {
        let mut ends = ["/a/moving", "/z/moving"];
        while !done.load(Ordering::Relaxed) {
            let (status, moved) = cluster.post(admin, 0, "/move", &json!({"from": ends[0], "to": ends[1]})).await;
            assert_eq!(status, 200, "{moved}");
            ends.reverse();
            moves.fetch_add(1, Ordering::Relaxed);
        }
    };
    let lister = async {
        let mut listings = 0;
        // Both have to have been at work for long enough to meet.
        while listings < LISTINGS || moves.load(Ordering::Relaxed) < LISTINGS {
            let (status, page) = cluster.get(0, "/all?limit=1000").await;
            assert_eq!(status, 200, "{page}");
            let files = page["files"].as_array().expect("files");
            let moving = files.iter().filter(|file| file["path"].as_str().is_some_and(|path| path.ends_with("moving")));
            assert_eq!(moving.count(), 1, "a listing is of two moments: it has the file that is moved so many times");
            assert_eq!(files.len(), BETWEEN + 1);
            listings += 1;
        }
        done.store(true, Ordering::Relaxed);
        println!("{listings} listings during {} moves", moves.load(Ordering::Relaxed));
    };
    tokio::join!(mover, lister);
}

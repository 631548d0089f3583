//! What a read sees: everything that was acknowledged before it, and one moment of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Cluster, until};

/// Looks at what was acknowledged, through one node. That has no older state, and may have no answer: then it is asked
/// again.
async fn look(cluster: &Cluster, node: usize, path: &str) {
    let (mut status, mut stat) = (0, Value::Null);
    until("a node answers", async || {
        (status, stat) = cluster.get(node, &format!("/stat?path={path}")).await;
        !matches!(status, 0 | 503 | 504)
    })
    .await;
    assert_ne!(status, 404, "{path} was acknowledged, and then a node read an older state: {stat}");
    assert_eq!(status, 200, "{path}: {stat}");
}

/// Every follower is asked at once for what the leader has just acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_seen_at_every_node() {
    const ROUNDS: usize = 200;
    let cluster = Cluster::start(3, 0).await;
    let admin = &cluster.admin;
    let leader = cluster.leader().await;
    for round in 0..ROUNDS {
        let path = format!("/{round}");
        let (status, made) = cluster.insist(admin, leader, "/mkdir", &json!({"path": path})).await;
        assert_eq!(status, 201, "{made}");
        let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
        tokio::join!(look(&cluster, one, &path), look(&cluster, other, &path));
    }
}

/// Files go to and fro between the first and the last directory of a tree. Whatever moment a listing is of, each of them
/// is in one of the two.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_of_one_moment() {
    /// Files, each in a directory of its own, that a listing passes on its way from the first to the last. Directories
    /// without files would be passed by.
    const BETWEEN: usize = 400;
    const MOVERS: usize = 8;
    const LISTINGS: usize = 60;
    const MOVES: usize = 400;
    let cluster = Cluster::start(1, 1).await;
    let admin = &cluster.admin;
    let made = (0..BETWEEN).map(async |at| {
        let path = format!("/write?path=/m{at:03}/between");
        let (status, made) = cluster.insist_put(admin, 0, &path, b"x").await;
        assert_eq!(status, 201, "{made}");
    });
    futures_util::stream::iter(made).buffer_unordered(16).collect::<Vec<()>>().await;
    let (status, made) = cluster.insist(admin, 0, "/mkdir", &json!({"path": "/z"})).await;
    assert_eq!(status, 201, "{made}");
    let names: Vec<String> = (0..MOVERS).map(|mover| mover.to_string()).collect();
    for name in &names {
        let (status, made) = cluster.insist_put(admin, 0, &format!("/write?path=/a/{name}"), b"x").await;
        assert_eq!(status, 201, "{made}");
    }

    let (done, moves) = (AtomicBool::new(false), AtomicUsize::new(0));
    let movers = names.iter().map(async |name| {
        let mut ends = [format!("/a/{name}"), format!("/z/{name}")];
        while !done.load(Ordering::Relaxed) {
            let (status, moved) = cluster.insist(admin, 0, "/move", &json!({"from": ends[0], "to": ends[1]})).await;
            assert_eq!(status, 200, "{moved}");
            ends.reverse();
            moves.fetch_add(1, Ordering::Relaxed);
        }
    });
    let lister = async {
        let mut listings = 0;
        // Both have to have been at work for long enough to meet.
        while listings < LISTINGS || moves.load(Ordering::Relaxed) < MOVES {
            let (status, page) = cluster.get(0, "/all?limit=1000").await;
            assert_eq!(status, 200, "{page}");
            let name = |file: &Value| Some(file["path"].as_str()?.rsplit_once('/')?.1.to_owned());
            let mut listed: Vec<String> = page["files"].as_array().into_iter().flatten().filter_map(name).collect();
            listed.retain(|name| name != "between");
            listed.sort_unstable();
            assert_eq!(listed, names, "a listing is of two moments, it lacks a file that is moved or has it twice");
            listings += 1;
        }
        done.store(true, Ordering::Relaxed);
        println!("{listings} listings during {} moves", moves.load(Ordering::Relaxed));
    };
    tokio::join!(join_all(movers), lister);
}

//! Files whose servers die get their copies back, and what servers bring back is taken in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;

use crate::support::{Cluster, Setup, User, noise, sha256, until};

/// Detection, rounds and garbage in seconds rather than minutes.
pub(crate) fn brisk(nodes: usize, servers: usize) -> Setup {
    Setup::new(nodes, servers)
        .with("RINGMASTER__DETECTION__HEARTBEAT", "200ms")
        .with("RINGMASTER__DETECTION__DEAD_AFTER", "1s")
        .with("RINGMASTER__REPLICATION__INTERVAL", "2s")
        .with("RINGMASTER__GARBAGE__LINGER", "1s")
        .with("RINGMASTER__GARBAGE__GRACE", "3s")
        .with("RINGMASTER__GARBAGE__INVENTORY", "4s")
}

/// Files of about 20 kB under `/NAMEn`.
pub(crate) async fn fill(cluster: &Cluster, name: &str, files: usize) {
    for number in 0..files {
        let bytes = noise(number as u64, 20_000 + number);
        let call = format!("/write?path=/{name}{number}");
        let (status, answer) = cluster.put(&cluster.admin, 0, &call, bytes, &[]).await;
        assert_eq!(status, 201, "{answer}");
    }
}

async fn expect_files(cluster: &Cluster, name: &str, files: usize) {
    for number in 0..files {
        let bytes = cluster.read(&cluster.admin, number % cluster.nodes.len(), &format!("/{name}{number}")).await;
        assert_eq!(bytes.as_ref().map(|bytes| sha256(bytes)), Ok(sha256(&noise(number as u64, 20_000 + number))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_single_death_everything_has_two_copies_again() {
    let mut cluster = Cluster::set_up(brisk(3, 4)).await;
    fill(&cluster, "f", 40).await;
    for dead in 0..4 {
        cluster.servers[dead].kill();
        cluster.wait_state(dead, "down").await;
        cluster.wait_whole(&cluster.admin, 2).await;
        cluster.servers[dead].start();
        cluster.wait_state(dead, "up").await;
        cluster.wait_whole(&cluster.admin, 2).await;
    }
    expect_files(&cluster, "f", 40).await;
    cluster.wait_no_orphans(&cluster.admin).await;
}

/// What the machine still holds when it returns is verified and taken back: next to nothing is copied.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_returning_server_holds_is_taken_back_without_copying() {
    let mut cluster = Cluster::set_up(brisk(1, 2)).await;
    fill(&cluster, "f", 30).await;
    cluster.servers[0].kill();
    cluster.wait_state(0, "down").await;
    // Nobody else could take copies, so all of the files wait for this server.
    let waiting = cluster.get(0, "/replication").await.1;
    assert_eq!(waiting["pending"], 30, "{waiting}");
    assert_eq!(waiting["servers_down"], 1, "{waiting}");
    assert!(waiting["oldest_age_ms"].is_u64(), "{waiting}");
    expect_files(&cluster, "f", 30).await;
    cluster.servers[0].start();
    cluster.wait_state(0, "up").await;
    cluster.wait_whole(&cluster.admin, 2).await;
    assert_eq!(cluster.metric(0, "ringmaster_repair_bytes_total").await, 0);
    assert_eq!(cluster.metric(0, "ringmaster_repair_verified_total").await, 30);
    assert_eq!(cluster.ring_row(0).await["epoch"], 2);
    until("nothing is pending", async || cluster.get(0, "/replication").await.1["pending"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_in_the_middle_of_the_repair_of_its_own_death_neither_loses_nor_doubles() {
    let setup = brisk(3, 4).with("RINGMASTER__REPLICATION__BANDWIDTH", "300KiB");
    let mut cluster = Cluster::set_up(setup).await;
    fill(&cluster, "f", 80).await;
    cluster.servers[1].kill();
    cluster.wait_state(1, "down").await;
    let leader = cluster.leader().await;
    until("some files are repaired", async || cluster.metric(leader, "ringmaster_repair_copies_total").await >= 5)
        .await;
    cluster.servers[1].start();
    cluster.wait_state(1, "up").await;
    cluster.wait_whole(&cluster.admin, 2).await;
    expect_files(&cluster, "f", 80).await;
    cluster.wait_no_orphans(&cluster.admin).await;
    assert_eq!(cluster.blobs_on_disks().len(), 160, "two copies of each of 80 files, and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_neighbours_die_and_their_files_wait_for_them() {
    let mut cluster = Cluster::set_up(brisk(3, 4)).await;
    fill(&cluster, "f", 40).await;
    let positions = cluster.positions().await;
    let order = cluster.get(0, "/ring").await.1["order"].clone();
    let at = |place: usize| positions[&order[place].as_u64().expect("an id")];
    let neighbours = [at(0), at(1)];
    let both: Vec<_> = cluster
        .listed(&cluster.admin)
        .await
        .into_iter()
        .filter(|file| file.counted.iter().all(|id| neighbours.contains(&positions[id])))
        .collect();
    assert!(!both.is_empty(), "neighbours share files");
    for dead in neighbours {
        cluster.servers[dead].kill();
    }
    for dead in neighbours {
        cluster.wait_state(dead, "down").await;
    }
    for file in &both {
        assert_eq!(cluster.read(&cluster.admin, 1, &file.path).await, Err(503), "{file:?}");
    }
    assert_eq!(cluster.listed(&cluster.admin).await.len(), 40, "all are listed");
    let risk = cluster.get(0, "/replication").await.1;
    assert_eq!(risk["at_risk"][0]["copies"], 0, "{risk}");
    // The others are made whole by those who are left.
    until("all that can be mended is", async || {
        let listed = cluster.listed(&cluster.admin).await;
        let lost = |path: &str| both.iter().any(|file| file.path == path);
        listed.iter().all(|file| file.counted.len() == if lost(&file.path) { 0 } else { 2 })
    })
    .await;
    for back in neighbours.into_iter().rev() {
        cluster.servers[back].start();
        cluster.wait_state(back, "up").await;
        cluster.wait_whole(&cluster.admin, 2).await;
        expect_files(&cluster, "f", 40).await;
    }
    cluster.wait_no_orphans(&cluster.admin).await;
}

/// Updates and repairs of the same files, all the time: what counts in the end is the newest version, twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_updates_race_with_repairs_of_the_same_files() {
    const FILES: u64 = 10;
    let mut cluster = Cluster::set_up(brisk(3, 4)).await;
    cluster.keep_nothing().await;
    fill(&cluster, "f", FILES as usize).await;
    let done = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..FILES)
        .map(|number| {
            let (done, stop, user) = (done.clone(), stop.clone(), cluster.admin.clone());
            let (http, url) = (cluster.http.clone(), cluster.url(number as usize % 3).to_owned());
            tokio::spawn(async move {
                let mut version = 1;
                while !stop.load(Ordering::Relaxed) {
                    let bytes = noise(1000 * number + version, 5_000);
                    let call = format!("{url}/update?path=/f{number}");
                    let answer = http.put(call).bearer_auth(&user.token).body(bytes).send().await.expect("an answer");
                    let status = answer.status();
                    assert!(
                        status.is_success(),
                        "update {version} of file {number}: {status} {:?}",
                        answer.text().await
                    );
                    version += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                (number, 1000 * number + version - 1)
            })
        })
        .collect();
    let mut dead = 0;
    while done.load(Ordering::Relaxed) < 1000 {
        cluster.servers[dead].kill();
        cluster.wait_state(dead, "down").await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        cluster.servers[dead].start();
        cluster.wait_state(dead, "up").await;
        dead = (dead + 1) % 4;
    }
    stop.store(true, Ordering::Relaxed);
    let mut newest = Vec::new();
    for writer in writers {
        newest.push(writer.await.expect("no update failed"));
    }
    cluster.wait_whole(&cluster.admin, 2).await;
    for (number, seed) in newest {
        let bytes = cluster.read(&cluster.admin, 0, &format!("/f{number}")).await.expect("it is readable");
        assert_eq!(sha256(&bytes), sha256(&noise(seed, 5_000)), "file {number} is at its newest version");
    }
    cluster.wait_no_orphans(&cluster.admin).await;
    println!("{} updates raced with repairs", done.load(Ordering::Relaxed));
}

pub(crate) async fn admin_post(cluster: &Cluster, call: &str, body: serde_json::Value) {
    let admin: User = cluster.admin.clone();
    let at = (0..cluster.nodes.len()).find(|at| cluster.nodes[*at].is_started()).expect("a node runs");
    let (status, answer) = cluster.post(&admin, at, call, &body).await;
    assert!((200..300).contains(&status), "{call}: {status} {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_copies_is_changed_on_a_running_cluster() {
    let mut cluster = Cluster::set_up(brisk(3, 4)).await;
    fill(&cluster, "f", 30).await;
    for copies in [4, 1, 3, 2] {
        admin_post(&cluster, "/admin/policy", json!({"copies": copies})).await;
        cluster.wait_whole(&cluster.admin, copies).await;
        cluster.wait_no_orphans(&cluster.admin).await;
        expect_files(&cluster, "f", 30).await;
    }
    // More than there are servers for: each file has what there can be, and gets the fifth copy when a fifth server joins.
    admin_post(&cluster, "/admin/policy", json!({"copies": 4})).await;
    cluster.wait_whole(&cluster.admin, 4).await;
    // A lowering during a death: nothing that is left is taken away before it is safe.
    cluster.servers[2].kill();
    admin_post(&cluster, "/admin/policy", json!({"copies": 2})).await;
    cluster.wait_state(2, "down").await;
    cluster.wait_whole(&cluster.admin, 2).await;
    cluster.servers[2].start();
    cluster.wait_state(2, "up").await;
    cluster.wait_no_orphans(&cluster.admin).await;
    expect_files(&cluster, "f", 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_drained_and_removed_and_a_new_one_takes_its_share() {
    let mut cluster = Cluster::set_up(brisk(3, 4)).await;
    cluster.servers[3].kill();
    cluster.wait_state(3, "down").await;
    fill(&cluster, "f", 60).await;
    // The fourth joins late: files move to it until the counts are level.
    cluster.servers[3].start();
    cluster.wait_state(3, "up").await;
    until("the counts of primaries are level", async || {
        let mut counts = Vec::new();
        for at in 0..4 {
            counts.push(cluster.ring_row(at).await["primaries"].as_u64().unwrap_or(0));
        }
        counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 1
    })
    .await;
    until("each file's backup is its primary's successor", async || {
        let ring = cluster.get(0, "/ring").await.1;
        let order: Vec<u64> = ring["order"].as_array().expect("order").iter().filter_map(|id| id.as_u64()).collect();
        let next =
            |id: u64| order[(order.iter().position(|other| *other == id).expect("in the ring") + 1) % order.len()];
        cluster
            .listed(&cluster.admin)
            .await
            .iter()
            .all(|file| file.counted.len() == 2 && next(file.counted[0]) == file.counted[1])
    })
    .await;

    let drained = cluster.ring_row(1).await["server_id"].as_u64().expect("an id");
    admin_post(&cluster, "/admin/drain", json!({"server_id": drained})).await;
    until("nothing is left on it", async || {
        let row = cluster.ring_row(1).await;
        row["state"] == "draining" && row["drained"] == true
    })
    .await;
    cluster.wait_whole(&cluster.admin, 2).await;
    cluster.wait_no_orphans(&cluster.admin).await;
    // Off for maintenance and on again: it comes back as any other.
    cluster.servers[1].kill();
    cluster.wait_state(1, "down").await;
    cluster.servers[1].start();
    cluster.wait_state(1, "up").await;
    admin_post(&cluster, "/admin/drain", json!({"server_id": drained})).await;
    until("nothing is left on it", async || cluster.ring_row(1).await["drained"] == true).await;
    cluster.servers[1].kill();
    cluster.wait_state(1, "down").await;
    admin_post(&cluster, "/admin/remove", json!({"server_id": drained})).await;
    assert!(cluster.ring_row(1).await.is_null(), "it is forgotten");
    cluster.wait_whole(&cluster.admin, 2).await;
    expect_files(&cluster, "f", 60).await;
}

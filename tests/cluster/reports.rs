//! What file servers hold beside what the records say, and what reads find.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Cluster, files_below, noise, until};

/// A file with copies on two servers, and where its primary is.
struct Stored {
    blob_id: String,
    /// The primary's position, id and epoch.
    at: usize,
    server_id: u64,
    epoch: u64,
    bytes: Vec<u8>,
}

async fn store(cluster: &Cluster, path: &str) -> Stored {
    let bytes = noise(7, 300_000);
    let call = format!("/write?path={path}");
    let headers = [("ringmaster-routing", "forward")];
    let (status, written) = cluster.put(&cluster.admin, 0, &call, bytes.clone(), &headers).await;
    assert_eq!(status, 201, "{written}");
    let server_id = written["replicas"][0]["server_id"].as_u64().expect("an id");
    let ring = cluster.get(0, "/ring").await.1;
    let server = ring["servers"].as_array().expect("servers").iter().find(|server| server["server_id"] == server_id);
    let server = server.expect("a known server");
    let at = cluster.servers.iter().position(|process| server["url"] == process.url).expect("its process");
    let sha256 = written["sha256"].as_str().expect("a digest");
    let found = cluster.blobs_on_disks().into_iter().find(|(on, _, digest)| *on == at && digest == sha256);
    let blob_id = found.expect("the blob is on the disk").1;
    Stored { blob_id, at, server_id, epoch: server["epoch"].as_u64().expect("an epoch"), bytes }
}

impl Stored {
    fn file(&self, cluster: &Cluster) -> PathBuf {
        let files = files_below(&cluster.servers[self.at].data.join("blobs"));
        files.into_iter().find(|file| file.file_name().is_some_and(|name| *name == *self.blob_id)).expect("the blob")
    }

    /// A report that nothing is in the range of this blob alone.
    async fn report_absent(&self, cluster: &Cluster, epoch: u64) -> (u16, Value) {
        let before = u128::from_str_radix(&self.blob_id, 16).expect("hexadecimal") - 1;
        let body = json!({
            "server_id": self.server_id,
            "epoch": epoch,
            "after": format!("{before:032x}"),
            "through": self.blob_id,
            "now_wall_ms": 1,
            "items": [],
        });
        report(cluster, &body).await
    }
}

/// A report as the server makes it that it is about.
async fn report(cluster: &Cluster, body: &Value) -> (u16, Value) {
    let ring = cluster.get(0, "/ring").await.1;
    let server = ring["servers"].as_array().expect("servers").iter().find(|it| it["server_id"] == body["server_id"]);
    let at = server.and_then(|server| cluster.servers.iter().position(|process| server["url"] == process.url));
    let at = at.unwrap_or(0);
    let request = cluster.as_server(at).post(format!("{}/inventory", cluster.member_url(0))).json(body);
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

async fn damaged(cluster: &Cluster) -> u64 {
    let mut sum = 0;
    for node in 0..cluster.nodes.len() {
        sum += cluster.metric(node, "ringmaster_damaged_copies_total").await;
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_a_report_lacks_is_asked_for_before_it_is_believed_missing() {
    let cluster = Cluster::start(1, 2).await;
    let stored = store(&cluster, "/a").await;
    let (status, answer) = stored.report_absent(&cluster, stored.epoch).await;
    assert_eq!((status, &answer), (200, &json!({"orphans": 0, "owed": 0})), "it is there");
    assert_eq!(damaged(&cluster).await, 0);

    let (status, answer) = stored.report_absent(&cluster, stored.epoch + 1).await;
    assert_eq!((status, &answer["code"]), (412, &json!("version_conflict")), "{answer}");
    let unknown = json!({"server_id": 9, "epoch": 1, "now_wall_ms": 1, "items": []});
    assert_eq!(report(&cluster, &unknown).await.0, 412);

    fs::remove_file(stored.file(&cluster)).expect("the blob is gone");
    let (status, answer) = stored.report_absent(&cluster, stored.epoch).await;
    assert_eq!((status, &answer["owed"]), (200, &json!(1)), "{answer}");
    assert_eq!(damaged(&cluster).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_no_record_names_is_condemned_once_it_is_old() {
    let cluster = Cluster::start(1, 2).await;
    let stored = store(&cluster, "/a").await;
    let stray = |stored_at: u64| {
        json!({
            "server_id": stored.server_id,
            "epoch": stored.epoch,
            "after": null,
            "through": format!("{:032x}", 5),
            "now_wall_ms": 4_000_000,
            "items": [{
                "blob_id": format!("{:032x}", 5),
                "size": 1,
                "copy": {
                    "copy_id": format!("{:032x}", 6),
                    "size": 1,
                    "sha256": "0".repeat(64),
                    "stored_at_wall_ms": stored_at,
                },
            }],
        })
    };
    assert_eq!(report(&cluster, &stray(1_000_000)).await, (200, json!({"orphans": 0, "owed": 0})), "it is young");
    assert_eq!(report(&cluster, &stray(400_000)).await, (200, json!({"orphans": 1, "owed": 0})));
    assert_eq!(report(&cluster, &stray(400_000)).await, (200, json!({"orphans": 0, "owed": 0})), "it is listed");
    assert_eq!(cluster.metric(0, "ringmaster_inventory_orphans_total").await, 1);
    assert_eq!(cluster.get(0, "/replication").await.1["garbage"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_meets_a_flipped_bit_gives_the_right_bytes_and_reports_it() {
    let cluster = Cluster::start(1, 2).await;
    let stored = store(&cluster, "/a").await;
    let file = stored.file(&cluster);
    let mut bytes = fs::read(&file).expect("a blob");
    bytes[150_000] ^= 1;
    fs::write(&file, bytes).expect("a damaged blob");
    let read = cluster.read(&cluster.admin, 0, "/a").await;
    assert!(read.as_deref() == Ok(&stored.bytes[..]), "the other copy is served");
    until("the damage is reported", async || damaged(&cluster).await == 1).await;
}

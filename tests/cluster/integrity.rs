//! Bytes that rot on the disks: right ones are served, bad copies are replaced, and nobody has to read to find them.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::repair::{admin_post, brisk, fill};
use crate::support::{Cluster, files_below, noise, sha256, until};

/// The data file of a file's copy on the server at a position.
async fn copy_on_disk(cluster: &Cluster, path: &str, copy: usize) -> PathBuf {
    let stat = cluster.get(0, &format!("/stat?path={path}")).await.1;
    let server = stat["replicas"][copy]["server_id"].as_u64().expect("an id");
    let at = cluster.positions().await[&server];
    let wanted = stat["sha256"].as_str().expect("a digest");
    files_below(&cluster.servers[at].data.join("blobs"))
        .into_iter()
        .find(|file| {
            file.file_name().is_some_and(|name| name.len() == 32)
                && sha256(&fs::read(file).expect("readable")) == wanted
        })
        .expect("the copy is on its disk")
}

fn flip_a_bit(file: &PathBuf) {
    let mut bytes = fs::read(file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("writable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_a_truncated_and_a_missing_blob_are_served_right_and_repaired() {
    // With two servers there is no other place: each copy is repaired where it is.
    for servers in [2, 4] {
        let cluster = Cluster::set_up(brisk(3, servers)).await;
        fill(&cluster, "f", 6).await;
        flip_a_bit(&copy_on_disk(&cluster, "/f0", 0).await);
        let truncated = copy_on_disk(&cluster, "/f1", 0).await;
        fs::write(&truncated, &fs::read(&truncated).expect("readable")[..1000]).expect("writable");
        fs::remove_file(copy_on_disk(&cluster, "/f2", 0).await).expect("removed");
        flip_a_bit(&copy_on_disk(&cluster, "/f3", 1).await);
        for number in 0..6_u64 {
            let bytes = cluster.read(&cluster.admin, 0, &format!("/f{number}")).await.expect("it is served");
            assert_eq!(sha256(&bytes), sha256(&noise(number, 20_000 + number as usize)), "file {number}");
        }
        // The backup of /f3 is read by nobody: the scrubber finds it.
        admin_post(&cluster, "/admin/scrub", json!({})).await;
        cluster.wait_whole(&cluster.admin, 2).await;
        let mut met = 0;
        for node in 0..3 {
            met += cluster.metric(node, "ringmaster_damaged_copies_total").await;
        }
        assert!(met >= 4, "four damaged copies were met, {met} counted");
        cluster.wait_no_orphans(&cluster.admin).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_copies_bad_there_is_an_error_and_never_wrong_bytes() {
    let cluster = Cluster::set_up(brisk(3, 4)).await;
    cluster.keep_nothing().await;
    fill(&cluster, "f", 2).await;
    for copy in [0, 1] {
        flip_a_bit(&copy_on_disk(&cluster, "/f0", copy).await);
    }
    for _ in 0..3 {
        let read = cluster.read(&cluster.admin, 0, "/f0").await;
        // What was sent before the damage was met may be a broken answer; a whole one would be wrong.
        assert!(matches!(read, Err(500 | 0)), "{:?}", read.map(|bytes| bytes.len()));
    }
    until("both are known as damaged", async || {
        let stat = cluster.get(0, "/stat?path=/f0").await.1;
        stat["replicas"].as_array().is_some_and(|copies| copies.iter().all(|copy| copy["counts"] == false))
    })
    .await;
    assert_eq!(cluster.read(&cluster.admin, 1, "/f0").await, Err(500));
    let (status, answer) = cluster.get(0, "/read?path=/f0").await;
    assert_eq!((status, answer["code"].as_str()), (500, Some("data_corrupt")), "{answer}");
    assert_eq!(cluster.listed(&cluster.admin).await.len(), 2, "the record is kept");
    // A new version is a way out.
    let (status, answer) = cluster.put(&cluster.admin, 0, "/update?path=/f0", noise(9, 20_000), &[]).await;
    assert_eq!(status, 200, "{answer}");
    cluster.wait_whole(&cluster.admin, 2).await;
    cluster.wait_no_orphans(&cluster.admin).await;
}

//! The disk of a file server is made read-only under it, as the kernel does after an error.

use std::time::Duration;

use crate::disks::Disks;
use crate::support::{Cluster, Setup, noise, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_read_only_is_passed_by_before_anybody_writes_and_is_read() {
    let Some(disks) = Disks::make(1, 64) else { return };
    let mut cluster = Cluster::prepare(&Setup::new(1, 2));
    disks.give(0, &cluster.servers[0]);
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(2).await;
    let old = noise(1, 300_000);
    assert_eq!(cluster.insist_put(&cluster.admin, 0, "/write?path=/old", &old).await.0, 201);

    disks.make_read_only(0);
    let url = cluster.servers[0].url.clone();
    let row = async |cluster: &Cluster| {
        let ring = cluster.get(0, "/ring").await.1;
        let rows = ring["servers"].as_array().cloned().unwrap_or_default();
        rows.into_iter().find(|row| row["url"] == url.as_str()).unwrap_or_default()
    };
    until("it is told before anybody writes", async || {
        let row = row(&cluster).await;
        row["full"] == true && row["cannot_write"].as_str().is_some_and(|why| why.contains("Read-only file system"))
    })
    .await;
    let start = std::time::Instant::now();
    let (status, stat) = cluster.put(&cluster.admin, 0, "/write?path=/new", noise(2, 300_000), &[]).await;
    assert_eq!((status, stat["replicas"].as_array().map(Vec::len)), (201, Some(1)), "{stat}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // A deletion that the disk refuses makes nobody doubt its server, whose copies are read when the other one is gone.
    let (status, said) = cluster.post(&cluster.admin, 0, "/delete", &serde_json::json!({"path": "/new"})).await;
    assert_eq!(status, 204, "{said}");
    cluster.servers[1].kill();
    assert_eq!(cluster.read(&cluster.admin, 0, "/old").await.as_ref(), Ok(&old));
    let row = row(&cluster).await;
    assert_eq!(row["state"], "up", "{row}");
    assert!(cluster.servers[0].is_started());
    drop(cluster); // Before its disk.
}

//! One id through the logs of all machines that have a part in a request.

use std::fs;

use crate::support::{Cluster, Setup, noise, until};

/// Whether a server has something in its log about a request.
fn told(cluster: &Cluster, server: usize, id: &str) -> bool {
    cluster.servers[server].log_text().lines().any(|line| line.contains(id))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requests_id_reaches_the_file_servers() {
    let mut cluster = Cluster::prepare(&Setup::new(3, 2));
    for server in &mut cluster.servers {
        server.set_environment("RINGMASTER_LOG", "debug".to_owned());
    }
    cluster.start_all();
    cluster.wait_ready().await;
    cluster.admin = cluster.user("admin").await;
    cluster.wait_for_servers(2).await;
    let follower = cluster.follower().await;
    let bytes = noise(1, 300_000);

    // Calls that fail are told.
    for server in 0..2 {
        let tmp = cluster.servers[server].data.join("tmp");
        until("nothing is being written", async || fs::remove_dir(&tmp).is_ok()).await;
        fs::write(&tmp, "").expect("a plain file is there");
    }
    let headers = [("x-request-id", "upload_of-ann")];
    let (status, _) = cluster.put(&cluster.admin, follower, "/write?path=/a", bytes.clone(), &headers).await;
    assert!(status == 503 || status == 507, "{status}");
    assert!(told(&cluster, 0, "upload_of-ann") && told(&cluster, 1, "upload_of-ann"));
    for server in 0..2 {
        let tmp = cluster.servers[server].data.join("tmp");
        fs::remove_file(&tmp).expect("the file goes");
        fs::create_dir(&tmp).expect("the directory is back");
    }
    until("uploads are taken again", async || {
        cluster.put(&cluster.admin, 0, "/write?path=/a", bytes.clone(), &[]).await.0 == 201
    })
    .await;
    cluster.wait_whole(&cluster.admin, 2).await;

    // The read meets a missing copy at the primary and goes on from the other one.
    for (server, blob, _) in cluster.blobs_on_disks() {
        let path = cluster.servers[server].data.join("blobs").join(&blob[..2]).join(&blob[2..4]).join(&blob);
        fs::remove_file(path).expect("the copy goes");
    }
    let url = format!("{}/read?path=/a", cluster.url(follower));
    let read = cluster.http.get(url).bearer_auth(&cluster.admin.token).header("x-request-id", "read_of-ann");
    assert_ne!(read.send().await.expect("an answer").status(), 200);
    for server in 0..2 {
        assert!(told(&cluster, server, "read_of-ann"), "{}", cluster.servers[server].log_tail());
    }
}

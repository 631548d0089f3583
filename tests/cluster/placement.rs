//! Where files go, checked on the disks and not only in the index.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::{Cluster, noise};

const FILES: usize = 1_000;
const WRITERS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_spread_evenly_and_every_file_has_two_copies() {
    let cluster = Arc::new(Cluster::start(3, 4).await);
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let cluster = cluster.clone();
        writers.push(tokio::spawn(async move {
            for file in (writer..FILES).step_by(WRITERS) {
                let bytes = noise(file as u64, 500 + file);
                let call = format!("/write?path=/spread/{file}");
                let (status, answer) = cluster.put(&cluster.admin, file % 3, &call, bytes, &[]).await;
                assert_eq!(status, 201, "{answer}");
            }
        }));
    }
    for writer in writers {
        writer.await.expect("the writer finished");
    }

    let ring = cluster.get(0, "/ring").await.1;
    let servers = ring["servers"].as_array().expect("servers");
    for count in ["primaries", "backups"] {
        let counts: Vec<u64> = servers.iter().map(|server| server[count].as_u64().expect("a count")).collect();
        let (least, most) = (counts.iter().min().expect("four"), counts.iter().max().expect("four"));
        assert_eq!(counts.iter().sum::<u64>(), FILES as u64);
        // Two percent of a server's share.
        assert!(most - least <= (FILES / 4 / 50) as u64, "{count}: {counts:?}");
    }

    let order: Vec<u64> = ring["order"].as_array().expect("the ring").iter().filter_map(|id| id.as_u64()).collect();
    let successor = |id: u64| {
        let at = order.iter().position(|other| *other == id).expect("it is in the ring");
        order[(at + 1) % order.len()]
    };
    // What stands on the disks, by content: every file has bytes of its own.
    let position: BTreeMap<String, u64> = servers
        .iter()
        .map(|server| (server["url"].as_str().expect("a url").to_owned(), server["server_id"].as_u64().expect("an id")))
        .collect();
    let mut on_disk: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (at, _, digest) in cluster.blobs_on_disks() {
        on_disk.entry(digest).or_default().push(position[&cluster.servers[at].url]);
    }
    assert_eq!(on_disk.len(), FILES);
    for file in 0..FILES {
        let stat = cluster.get(file % 3, &format!("/stat?path=/spread/{file}")).await.1;
        let replicas = stat["replicas"].as_array().expect("replicas");
        let ids: Vec<u64> = replicas.iter().filter_map(|replica| replica["server_id"].as_u64()).collect();
        assert_eq!(ids.len(), 2, "{stat}");
        assert_eq!(ids[1], successor(ids[0]), "{stat}");
        assert_eq!((&replicas[0]["role"], &replicas[1]["role"]), (&"primary".into(), &"backup".into()));
        let mut found = on_disk[stat["sha256"].as_str().expect("a digest")].clone();
        found.sort_unstable();
        let mut named = ids.clone();
        named.sort_unstable();
        assert_eq!(found, named, "{stat}");
    }
}

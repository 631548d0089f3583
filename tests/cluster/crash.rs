//! `kill -9` of everything: what was acknowledged is there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Cluster, noise, sha256, until};

/// What a client knows of its writes.
#[derive(Default)]
struct Journal {
    /// Path → digest of each write that was answered with success.
    acknowledged: BTreeMap<String, String>,
    /// Path → digest of each write that was sent.
    sent: BTreeMap<String, String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn all_seven_processes_are_killed_under_load_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(3, 4).await;
    let journal = Arc::new(Mutex::new(Journal::default()));
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> =
            (0..8).map(|writer| tokio::spawn(write_until(&cluster, writer, round, &stop, &journal))).collect();
        let wanted = journal.lock().expect("no panic").acknowledged.len() + 60;
        until("enough is acknowledged", async || journal.lock().expect("no panic").acknowledged.len() >= wanted).await;
        cluster.kill_all();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("the writer finished");
        }
        cluster.start_all();
        cluster.wait_ready().await;
        cluster.wait_for_servers(4).await;
        check(&cluster, &journal).await;
    }
}

fn write_until(
    cluster: &Cluster,
    writer: usize,
    round: usize,
    stop: &Arc<AtomicBool>,
    journal: &Arc<Mutex<Journal>>,
) -> impl Future<Output = ()> + Send + 'static {
    let (stop, journal, http, token) =
        (stop.clone(), journal.clone(), cluster.http.clone(), cluster.admin.token.clone());
    let urls: Vec<String> = cluster.nodes.iter().map(|node| node.url.clone()).collect();
    async move {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            count += 1;
            let path = format!("/crash/{round}/{writer}/{count}");
            let bytes = noise((round * 1_000_000 + writer * 10_000 + count) as u64, 1_000 + (count * 7919) % 400_000);
            let digest = sha256(&bytes);
            journal.lock().expect("no panic").sent.insert(path.clone(), digest.clone());
            let url = format!("{}/write?path={path}", urls[(writer + count) % urls.len()]);
            let request = http.put(url).bearer_auth(&token).body(bytes).timeout(Duration::from_secs(20));
            if request.send().await.is_ok_and(|answer| answer.status() == 201) {
                journal.lock().expect("no panic").acknowledged.insert(path, digest);
            }
        }
    }
}

/// Every acknowledged file is there with its bytes and both copies; what is visible beyond these is whole as well.
async fn check(cluster: &Cluster, journal: &Arc<Mutex<Journal>>) {
    let (acknowledged, sent) = {
        let journal = journal.lock().expect("no panic");
        (journal.acknowledged.clone(), journal.sent.clone())
    };
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    for (_, _, digest) in cluster.blobs_on_disks() {
        *copies.entry(digest).or_default() += 1;
    }
    for (at, (path, digest)) in acknowledged.iter().enumerate() {
        let bytes = cluster.read(&cluster.admin, at % 3, path).await;
        assert_eq!(bytes.as_deref().map(sha256), Ok(digest.clone()), "{path} was acknowledged");
        assert!(copies.get(digest).is_some_and(|copies| *copies >= 2), "{path} has both copies on the disks");
    }
    let mut cursor = None::<String>;
    let mut visible = 0;
    loop {
        let more = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = cluster.get(0, &format!("/all?limit=500{more}")).await.1;
        for file in page["files"].as_array().expect("files") {
            let path = file["path"].as_str().expect("a path");
            assert_eq!(
                file["sha256"].as_str(),
                sent.get(path).map(String::as_str),
                "{path} is what was sent, or not there"
            );
            visible += 1;
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    println!("{} acknowledged, {visible} visible, {} sent", acknowledged.len(), sent.len());
    assert!(visible >= acknowledged.len());
}

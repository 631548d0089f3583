use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};

use super::super::QueryKind;
use super::*;

/// As many listings as there once were places for all queries.
const LISTINGS: usize = 64;

/// A gate that queries wait at.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn wait(&self) {
        let mut open = self.0.lock().unwrap();
        while !*open {
            open = self.1.wait(open).unwrap();
        }
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_that_take_for_ever_keep_neither_jobs_nor_points_waiting() {
    let cluster = Cluster::started(On::Disk, 1, Tuning::default()).await;
    set(cluster.node(1), "a", "1").await.unwrap();
    let node = cluster.node(1);
    let (gate, begun) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
    let listings: Vec<_> = (0..LISTINGS)
        .map(|_| {
            let (node, gate, begun) = (node.clone(), Arc::clone(&gate), Arc::clone(&begun));
            tokio::spawn(async move {
                let query = move |store: &dyn ReadStore| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    gate.wait();
                    Ok(look(store, "a"))
                };
                node.read_local_as(QueryKind::Listing, query).await.unwrap()
            })
        })
        .collect();
    until(|| (begun.load(Ordering::Relaxed) > 0).then_some(())).await;
    // A hundred of each, one after another.
    let others = async {
        for _ in 0..100 {
            assert_eq!(
                node.read_local_as(QueryKind::Job, |store| Ok(look(store, "a"))).await.unwrap().as_deref(),
                Some("1")
            );
            assert_eq!(get(node, "a").await.as_deref(), Some("1"));
        }
    };
    let answered = tokio::time::timeout(PATIENCE, others).await;
    let at_once = begun.load(Ordering::Relaxed);
    gate.open();
    answered.expect("small reads and jobs are answered");
    assert!(at_once < LISTINGS, "{at_once} at the same time");
    for listing in listings {
        assert_eq!(listing.await.unwrap().as_deref(), Some("1"));
    }
}

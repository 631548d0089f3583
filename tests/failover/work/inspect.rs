//! The last look: every file through every running node, as requests of the history like any other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use ringmaster::client::Directory;
use tokio::task::JoinHandle;

use crate::history::{Act, Op, Outcome, SLOTS};
use crate::support::Cluster;

use super::client::{Answered, ask};
use super::{MOST_PLACES, Shared, lock};

/// The client numbers of the nodes' readers begin here.
const READERS: u32 = 1_000;
/// How many places are read at once through one node.
const AT_ONCE: usize = 8;
/// How often a file is looked at that is replaced under its reader.
const LAST_LOOKS: usize = 5;
/// Nobody waits for more than these: each takes as long as the command line would try.
const ENOUGH_LOST: usize = 4;
const REPLACED: &str = "it was replaced while it was read";

pub(super) async fn inspect(shared: &Shared, cluster: &Cluster) {
    let lost = AtomicUsize::new(0);
    let mut places = Vec::new();
    for (group, state) in shared.groups.iter().enumerate() {
        let last = state.place.load(Ordering::Relaxed);
        places.extend((0..=last).map(|place| group as u32 * MOST_PLACES + place));
    }
    for at in (0..cluster.nodes.len()).filter(|at| cluster.nodes[*at].is_started()) {
        let directory = &through(cluster, at);
        let each = stream::iter(&places).for_each_concurrent(AT_ONCE, async |place| {
            for act in looks() {
                if lost.load(Ordering::Relaxed) >= ENOUGH_LOST {
                    break;
                }
                if let Some(cause) = last_look(shared, directory, at, *place, &act).await {
                    let text = format!("cannot be read: {act:?} in place {place} through node {}: {cause}", at + 1);
                    lock(&shared.wrong).push(text);
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        each.await;
    }
}

pub(super) fn look_through(shared: &Arc<Shared>, cluster: &Cluster, node: usize) -> JoinHandle<()> {
    let directory = through(cluster, node);
    let shared = Arc::clone(shared);
    let places = shared
        .groups
        .iter()
        .enumerate()
        .map(|(group, state)| group as u32 * MOST_PLACES + state.place.load(Ordering::Relaxed));
    let wanted: Vec<(u32, Act)> = places.flat_map(|place| looks().map(move |act| (place, act))).collect();
    tokio::spawn(async move {
        let looks = wanted.iter().map(async |(place, act)| {
            if let Some(cause) = look(&shared, &directory, node, *place, act).await {
                let text = format!("a look through node {}: {act:?} in place {place}: {cause}", node + 1);
                lock(&shared.failed).push(text);
            }
        });
        join_all(looks).await;
    })
}

/// A client of one node alone.
fn through(cluster: &Cluster, node: usize) -> Directory {
    let url: url::Url = cluster.nodes[node].url.parse().expect("a url");
    let all = Directory::new(vec![url.clone()], Some(cluster.admin.token.clone())).expect("a client");
    all.at(url).expect("a url")
}

fn looks() -> impl Iterator<Item = Act> {
    std::iter::once(Act::List).chain((0..SLOTS).map(|slot| Act::Read { slot }))
}

/// Nobody changes anything any more, so whatever cannot be read is lost. What clients left that gave up may still be done
/// under a reader: that is read once more.
async fn last_look(shared: &Shared, directory: &Directory, node: usize, place: u32, act: &Act) -> Option<String> {
    let mut cause = None;
    for _ in 0..LAST_LOOKS {
        cause = look(shared, directory, node, place, act).await;
        if cause.as_ref().is_none_or(|cause| cause != REPLACED) {
            break;
        }
    }
    cause
}

/// One request. Why it brought nothing, where it did.
async fn look(shared: &Shared, directory: &Directory, node: usize, place: u32, act: &Act) -> Option<String> {
    let invoked = shared.record.now();
    let Answered { outcome, failure, .. } = ask(shared, directory, place, act, None).await;
    let returned = shared.record.now();
    let answered = matches!(outcome, Outcome::Refused(_)) || outcome.is_success();
    let client = READERS + u32::try_from(node).expect("few nodes");
    shared.record.add(Op { client, place, act: act.clone(), invoked, returned, outcome });
    (!answered).then(|| failure.unwrap_or_else(|| REPLACED.to_owned()))
}

//! The last look: every file through every running node, as requests of the history like any other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

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

pub(super) async fn inspect(shared: &Shared, cluster: &Cluster) {
    let mut places = Vec::new();
    for (group, state) in shared.groups.iter().enumerate() {
        let last = state.place.load(Ordering::Relaxed);
        places.extend((0..=last).map(|place| group as u32 * MOST_PLACES + place));
    }
    for at in (0..cluster.nodes.len()).filter(|at| cluster.nodes[*at].is_started()) {
        let directory = &through(cluster, at);
        let each = stream::iter(&places).for_each_concurrent(AT_ONCE, async |place| {
            for act in looks() {
                look(shared, directory, at, *place, act).await;
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
        let all = wanted.into_iter().map(|(place, act)| look(&shared, &directory, node, place, act));
        join_all(all).await;
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

async fn look(shared: &Shared, directory: &Directory, node: usize, place: u32, act: Act) {
    let invoked = shared.record.now();
    let Answered { outcome, failure, .. } = ask(shared, directory, place, &act, None).await;
    let returned = shared.record.now();
    if !matches!(outcome, Outcome::Refused(_)) && !outcome.is_success() {
        let cause = failure.unwrap_or_default();
        lock(&shared.failed).push(format!("a look through node {}: {act:?} in place {place}: {cause}", node + 1));
    }
    let client = READERS + u32::try_from(node).expect("few nodes");
    shared.record.add(Op { client, place, act, invoked, returned, outcome });
}

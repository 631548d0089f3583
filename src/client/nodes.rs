//! Which directory nodes there are, which one leads, and which ones failed lately.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use url::Url;

use super::error::ClientError;
use crate::clock::SharedClock;
use crate::protocol::api::Cluster;

/// How long a node that failed is passed over while there are others. Eyeballed: an election and a half.
const FAILURE_MEMORY: Duration = Duration::from_secs(1);
/// It is doubled this often for a node that goes on being silent: to find that out takes most of a second each time, and
/// the leader may be out of this client's reach alone.
const MAX_DOUBLINGS: u32 = 4;
/// No more nodes than this are remembered, whatever a cluster says.
const MAX_NODES: usize = 32;
/// How many others are asked whether they are ready.
const MAX_OTHERS: usize = 4;

/// The nodes of one cluster, shared by all calls to it. The lock is held for a few instructions, never over an await.
#[derive(Debug)]
pub(super) struct Nodes {
    clock: SharedClock,
    /// Whether nodes that the cluster names are used besides those that the caller named.
    learns: bool,
    /// The caller named none but by `https://`: what is secret goes to none in clear, whoever says so.
    is_private: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    nodes: Vec<Node>,
    /// Where calls go that any node can answer.
    current: usize,
    leader: Option<usize>,
}

#[derive(Debug)]
struct Node {
    url: Url,
    node_id: Option<u64>,
    failed_at: Option<Duration>,
    /// How often it was silent since it last answered.
    silences: u32,
    /// It showed a certificate that is not believed.
    is_distrusted: bool,
}

/// A node chosen for one attempt.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    index: usize,
    pub(super) url: Url,
    /// It is believed to lead.
    pub(super) leads: bool,
}

impl Nodes {
    /// # Errors
    /// When there is no url, or one is no plain `http://host:port` or `https://host:port`.
    pub(super) fn new(urls: Vec<Url>, learns: bool, clock: SharedClock) -> Result<Self, ClientError> {
        let mut nodes: Vec<Node> = Vec::new();
        for url in urls {
            let url = base(&url).ok_or_else(|| {
                ClientError::usage(format!(
                    "{url} is no url of a directory node: write it as http://host:port or https://host:port"
                ))
            })?;
            if nodes.iter().all(|node| node.url != url) {
                nodes.push(Node { url, node_id: None, failed_at: None, silences: 0, is_distrusted: false });
            }
        }
        if nodes.is_empty() || nodes.len() > MAX_NODES {
            return Err(ClientError::usage("name at least one directory node's url, and at most 32"));
        }
        // Clients start at different nodes, so that the reads of many spread.
        let current = usize::from(clock.random::<1>()[0]) % nodes.len();
        let is_private = nodes.iter().all(|node| node.url.scheme() == "https");
        Ok(Self { clock, learns, is_private, state: Mutex::new(State { nodes, current, leader: None }) })
    }

    /// Whether there is another node to go to.
    pub(super) fn are_several(&self) -> bool {
        self.lock().nodes.len() > 1
    }

    /// Whether there is another node to go to that did not fail lately.
    pub(super) fn another_is_fresh(&self, than: &Chosen) -> bool {
        let now = self.clock.monotonic();
        let state = self.lock();
        state.nodes.iter().enumerate().any(|(index, node)| index != than.index && !node.failed_lately(now))
    }

    /// A few of the others, those that come next first.
    pub(super) fn others(&self, than: &Url) -> Vec<Url> {
        let state = self.lock();
        let count = state.nodes.len();
        let from_current = (0..count).map(|step| &state.nodes[(state.current + step) % count].url);
        let others = from_current.filter(|url| url.origin() != than.origin());
        others.take(MAX_OTHERS).cloned().collect()
    }

    /// Calls that any node can answer go to this one from now on.
    pub(super) fn turn_to(&self, url: &Url) {
        let mut state = self.lock();
        if let Some(index) = state.nodes.iter().position(|node| node.url == *url) {
            state.current = index;
            (state.nodes[index].failed_at, state.nodes[index].silences) = (None, 0);
        }
    }

    /// The node knows no leader: the next call goes to another one.
    pub(super) fn pass_on(&self, node: &Chosen) {
        let mut state = self.lock();
        if state.current == node.index {
            state.current = (node.index + 1) % state.nodes.len();
        }
    }

    /// The node for the next attempt: the leader where it matters and is known, else one that did not fail lately.
    pub(super) fn choose(&self, prefer_leader: bool) -> Chosen {
        let now = self.clock.monotonic();
        let state = self.lock();
        let usable = |index: usize| state.nodes.get(index).is_some_and(|node| !node.failed_lately(now));
        let leader = state.leader.filter(|index| usable(*index));
        let index = match leader {
            Some(leader) if prefer_leader => leader,
            _ => {
                let count = state.nodes.len();
                let mut from_current = (0..count).map(|step| (state.current + step) % count);
                // Where all failed, it is the turn of the one whose failure is the longest ago.
                let longest_ago = || (0..count).min_by_key(|index| state.nodes[*index].failed_at).unwrap_or(0);
                from_current.find(|index| usable(*index)).unwrap_or_else(longest_ago)
            }
        };
        Chosen { index, url: state.nodes[index].url.clone(), leads: leader == Some(index) }
    }

    pub(super) fn leader_known(&self) -> bool {
        let now = self.clock.monotonic();
        let state = self.lock();
        state.leader.and_then(|index| state.nodes.get(index)).is_some_and(|node| !node.failed_lately(now))
    }

    /// The node did not do it: the next call goes to another one. `silent` says that it gave no answer at all.
    pub(super) fn failed(&self, node: &Chosen, silent: bool) {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        if let Some(failed) = state.nodes.get_mut(node.index) {
            failed.silences = if silent { failed.silences.saturating_add(1) } else { 0 };
            failed.failed_at = Some(now);
        }
        if state.leader == Some(node.index) {
            state.leader = None;
        }
        if state.current == node.index {
            state.current = (node.index + 1) % state.nodes.len();
        }
    }

    /// The node did it.
    pub(super) fn worked(&self, node: &Chosen) {
        if let Some(node) = self.lock().nodes.get_mut(node.index) {
            (node.failed_at, node.silences, node.is_distrusted) = (None, 0, false);
        }
    }

    /// Forgets who leads, because a node sent the call elsewhere.
    pub(super) fn forget_leader(&self) {
        self.lock().leader = None;
    }

    /// Takes over what a node says about its cluster.
    pub(super) fn learn(&self, from: &Chosen, cluster: &Cluster) {
        let mut state = self.lock();
        if let Some(node) = state.nodes.get_mut(from.index) {
            // The url that worked stays, even where the node advertises another.
            node.node_id = Some(cluster.node_id);
            (node.failed_at, node.silences) = (None, 0);
        }
        for info in &cluster.nodes {
            let Some(url) = Url::parse(&info.url).ok().as_ref().and_then(base) else { continue };
            if state.nodes.iter().any(|node| node.node_id == Some(info.node_id)) {
                continue;
            }
            if let Some(node) = state.nodes.iter_mut().find(|node| node.url == url) {
                node.node_id = Some(info.node_id);
            } else if self.learns && self.may_call(&url) && state.nodes.len() < MAX_NODES {
                let node_id = Some(info.node_id);
                state.nodes.push(Node { url, node_id, failed_at: None, silences: 0, is_distrusted: false });
            }
        }
        state.leader =
            cluster.leader_id.and_then(|leader| state.nodes.iter().position(|node| node.node_id == Some(leader)));
    }

    /// Whether anything is sent to a url that a node has named.
    pub(super) fn may_call(&self, url: &Url) -> bool {
        url.scheme() == "https" || (url.scheme() == "http" && !self.is_private)
    }

    /// This node showed a certificate that is not believed. Whether none is left that did not.
    pub(super) fn distrust(&self, url: &Url) -> bool {
        let mut state = self.lock();
        for node in state.nodes.iter_mut().filter(|node| node.url.origin() == url.origin()) {
            node.is_distrusted = true;
        }
        state.nodes.iter().all(|node| node.is_distrusted)
    }

    /// Whether a url is at one of the nodes, so that the token may go there.
    pub(super) fn knows(&self, url: &Url) -> bool {
        base_of_any_path(url).is_some_and(|base| self.lock().nodes.iter().any(|node| node.url == base))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn failed_lately(&self, now: Duration) -> bool {
        let memory = FAILURE_MEMORY * (1 << self.silences.saturating_sub(1).min(MAX_DOUBLINGS));
        self.failed_at.is_some_and(|at| now.saturating_sub(at) < memory)
    }
}

/// A node's url with nothing after the port.
fn base(url: &Url) -> Option<Url> {
    let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    plain.then(|| base_of_any_path(url)).flatten()
}

fn base_of_any_path(url: &Url) -> Option<Url> {
    if !matches!(url.scheme(), "http" | "https")
        || !url.has_host()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return None;
    }
    let mut base = url.clone();
    base.set_path("/");
    base.set_query(None);
    base.set_fragment(None);
    Some(base)
}

//! A cluster whose directory nodes each have an island of their own, and what is asked of it while it is cut apart.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agreement::expect_same_state;
use crate::islands::{Islands, Place};
use crate::members::spare_with;
use crate::support::{Cluster, Setup, until};
use crate::work::{Report, Work};

/// Longer than a node ever holds a request.
const ANSWER: Duration = Duration::from_secs(11);

/// Of the nodes of a cluster that gets more. Elections still have the time that they need.
const SYNC_DELAY: (&str, &str) = ("RINGMASTER__RAFT__SYNC_DELAY", "50ms");

/// File servers and clients are on the mainland and reach every node, unless that is cut as well.
pub(crate) struct Archipelago {
    pub(crate) cluster: Cluster,
    pub(crate) islands: Islands,
}

impl Archipelago {
    /// `nodes` of them form the cluster; `spares` have their island and configuration, and are not started. With spares
    /// all disks are slow, so that a change of who takes part lasts long enough for an accident in its middle.
    pub(crate) async fn rise(nodes: usize, spares: usize) -> Option<Self> {
        let islands = Islands::rise(nodes + spares)?;
        let setup = Setup::new(nodes, 2);
        let setup = if spares > 0 { setup.with(SYNC_DELAY.0, SYNC_DELAY.1) } else { setup };
        let mut cluster = Cluster::prepare(&setup);
        for id in nodes + 1..=nodes + spares {
            spare_with(&mut cluster, id, vec![(SYNC_DELAY.0, SYNC_DELAY.1.to_owned())]);
        }
        let names: Vec<String> = cluster.nodes.iter().map(|node| node.name.clone()).collect();
        let places: Vec<(&str, usize)> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        islands.settle(&mut cluster, &places);
        for node in &mut cluster.nodes[..nodes] {
            node.start();
        }
        for server in &mut cluster.servers {
            server.start();
        }
        cluster.wait_ready().await;
        cluster.admin = cluster.user("admin").await;
        cluster.wait_for_servers(2).await;
        Some(Self { cluster, islands })
    }

    /// The positions of the nodes that run, but for some.
    pub(crate) fn all_but(&self, some: &[usize]) -> Vec<usize> {
        let nodes = self.cluster.nodes.iter().enumerate();
        nodes.filter(|(at, node)| node.is_started() && !some.contains(at)).map(|(at, _)| at).collect()
    }

    /// The position of the leader that all nodes of a side see.
    pub(crate) async fn leader_of(&self, side: &[usize]) -> usize {
        let mut leader = 0;
        until("the nodes of one side agree on a leader", async || {
            let mut seen = Vec::new();
            for node in side {
                seen.push(self.cluster.get(*node, "/cluster").await.1["leader_id"].as_u64());
            }
            leader = seen[0].map_or(0, |id| id as usize - 1);
            seen[0].is_some() && seen.iter().all(|id| *id == seen[0])
        })
        .await;
        leader
    }

    /// Cuts some nodes off from all the others, not from the mainland.
    pub(crate) fn strand(&self, some: &[usize]) {
        let all: Vec<usize> = (0..self.cluster.nodes.len()).filter(|at| !some.contains(at)).collect();
        self.islands.part(some, &all);
    }

    /// What `from` sends to other nodes is lost.
    pub(crate) fn unheard(&self, from: usize) {
        for to in (0..self.cluster.nodes.len()).filter(|to| *to != from) {
            self.islands.mute(Place::Island(from), Place::Island(to));
        }
    }

    /// What other nodes send to `to` is lost.
    pub(crate) fn deaf(&self, to: usize) {
        for from in (0..self.cluster.nodes.len()).filter(|from| *from != to) {
            self.islands.mute(Place::Island(from), Place::Island(to));
        }
    }

    pub(crate) async fn is_ready(&self, node: usize) -> bool {
        let url = format!("{}/readyz", self.cluster.url(node));
        let asked = self.cluster.http.get(url).timeout(Duration::from_secs(1)).send().await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    /// Waits until these nodes say so of themselves.
    pub(crate) async fn wait_ready(&self, nodes: &[usize], ready: bool) {
        for node in nodes {
            until(&format!("node {} is {}ready", node + 1, if ready { "" } else { "not " }), async || {
                self.is_ready(*node).await == ready
            })
            .await;
        }
    }

    /// One request, without a client's retries. Status 0 says that there was no answer.
    async fn ask(&self, node: usize, call: &str, body: Option<Value>) -> (u16, Duration) {
        let url = format!("{}{call}", self.cluster.url(node));
        let request = match body {
            Some(body) => self.cluster.http.post(url).json(&body),
            None => self.cluster.http.get(url),
        };
        let begun = Instant::now();
        let answer = request.bearer_auth(&self.cluster.admin.token).timeout(ANSWER).send().await;
        (answer.map_or(0, |answer| answer.status().as_u16()), begun.elapsed())
    }

    /// Makes a directory through the nodes of a side until one of them has done it.
    pub(crate) async fn insist(&self, side: &[usize], path: &str) {
        until(&format!("{path} is made"), async || {
            for node in side {
                if matches!(self.ask(*node, "/mkdir", Some(json!({"path": path}))).await.0, 201 | 409) {
                    return true;
                }
            }
            false
        })
        .await;
    }

    /// The minority acknowledges nothing and is not stale: what the majority has acknowledged before is there, or there is
    /// no answer. Each answer comes soon; the slowest is told.
    pub(crate) async fn nothing_from(&self, minority: &[usize], majority: &[usize], label: &str) -> Duration {
        let witness = format!("/witness-{label}");
        self.insist(majority, &witness).await;
        let mut slowest = Duration::ZERO;
        for round in 0..2 {
            for node in minority {
                let (status, took) = self.ask(*node, &format!("/stat?path={witness}"), None).await;
                assert!(matches!(status, 503 | 504), "node {} answers a read with {status}", node + 1);
                slowest = slowest.max(took);
                let path = format!("/{label}-{round}-{node}");
                let (status, took) = self.ask(*node, "/mkdir", Some(json!({"path": path}))).await;
                assert!(matches!(status, 503 | 504), "node {} answers a change with {status}", node + 1);
                slowest = slowest.max(took);
            }
        }
        slowest
    }

    /// The clients get on and stop, what they were told can be explained, and the nodes have one state.
    pub(crate) async fn end_well(mut self, work: Work, label: &str) -> Report {
        work.goes_on().await;
        let report = work.end(&self.cluster).await;
        report.print(label);
        report.expect_clean();
        report.expect_no_failed_request();
        expect_same_state(&mut self.cluster).await;
        report
    }
}

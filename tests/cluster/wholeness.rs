//! Whether every file has its copies, found on the disks themselves, without asking the product but for the list.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Cluster, User, until};

/// One file as the directory lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) path: String,
    pub(crate) sha256: String,
    /// Servers whose copies count.
    pub(crate) counted: Vec<u64>,
    /// All that the record names.
    pub(crate) named: Vec<u64>,
}

impl Cluster {
    /// Every file of a user, with its copies as any running node tells them.
    pub(crate) async fn listed(&self, user: &User) -> Vec<Listed> {
        let at = (0..self.nodes.len()).find(|at| self.nodes[*at].is_started()).expect("a node runs");
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, page) = self.get_as(user, at, &format!("/all?limit=1000{cursor}")).await;
            assert_eq!(status, 200, "{page}");
            for file in page["files"].as_array().expect("files") {
                if file["kind"] != "file" {
                    continue;
                }
                let (status, stat) = self.get_as(user, at, &format!("/stat?file_id={}", file["file_id"])).await;
                assert_eq!(status, 200, "{stat}");
                listed.push(from_stat(&stat));
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return listed,
            }
        }
    }

    /// From here on what is replaced or deleted is gone: the disks hold what files name now, and nothing else.
    pub(crate) async fn keep_nothing(&self) {
        let policy = serde_json::json!({"versions_keep": 0, "trash_ms": 0});
        let (status, answer) = self.post(&self.admin, 0, "/admin/policy", &policy).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// The sizes of a user's files, one copy each.
    pub(crate) async fn total_bytes(&self, user: &User) -> u64 {
        let at = (0..self.nodes.len()).find(|at| self.nodes[*at].is_started()).expect("a node runs");
        let (mut total, mut cursor) = (0, String::new());
        loop {
            let (status, page) = self.get_as(user, at, &format!("/all?limit=1000{cursor}")).await;
            assert_eq!(status, 200, "{page}");
            total +=
                page["files"].as_array().expect("files").iter().filter_map(|file| file["size"].as_u64()).sum::<u64>();
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return total,
            }
        }
    }

    /// Waits until each of the user's files has `copies` copies that count, on servers that run, and their bytes are on
    /// these servers' disks.
    pub(crate) async fn wait_whole(&self, user: &User, copies: usize) {
        let mut last = String::new();
        until(&format!("every file has {copies} copies"), async || match self.first_lack(user, copies).await {
            None => true,
            Some(lack) => {
                if lack != last {
                    eprintln!("not whole yet: {lack}");
                    last = lack;
                }
                false
            }
        })
        .await;
    }

    /// What is missing, if anything is.
    pub(crate) async fn first_lack(&self, user: &User, copies: usize) -> Option<String> {
        let positions = self.positions().await;
        let listed = self.listed(user).await;
        let bad = |file: &&Listed| file.counted.len() != copies || file.named != file.counted;
        if let Some(file) = listed.iter().find(bad) {
            let lacking = listed.iter().filter(bad).count();
            return Some(format!("{lacking} of {} files, the first is {file:?}", listed.len()));
        }
        let mut on_disks: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, _, digest) in self.blobs_on_disks() {
            on_disks.entry(digest).or_default().push(at);
        }
        for file in listed {
            let there = on_disks.get(&file.sha256).cloned().unwrap_or_default();
            for server in &file.counted {
                let Some(at) = positions.get(server) else { return Some(format!("{file:?}: no server {server}")) };
                if !self.servers[*at].is_started() {
                    return Some(format!("{file:?}: server {server} does not run"));
                }
                if !there.contains(at) {
                    return Some(format!("{file:?}: not on the disk of server {server}, but on {there:?}"));
                }
            }
        }
        None
    }

    /// Waits until the disks of the running servers hold nothing but what records name.
    pub(crate) async fn wait_no_orphans(&self, user: &User) {
        let mut last = 0;
        until("nothing is on the disks but what files name", async || {
            let files = self.listed(user).await;
            let positions = self.positions().await;
            let mut wanted: BTreeMap<(usize, String), usize> = BTreeMap::new();
            for file in &files {
                for server in &file.named {
                    if let Some(at) = positions.get(server) {
                        *wanted.entry((*at, file.sha256.clone())).or_default() += 1;
                    }
                }
            }
            let mut orphans = 0;
            for (at, _, digest) in self.blobs_on_disks() {
                match wanted.get_mut(&(at, digest)) {
                    Some(count) if *count > 0 => *count -= 1,
                    _ if self.servers[at].is_started() => orphans += 1,
                    _ => {}
                }
            }
            if orphans != last {
                eprintln!("{orphans} orphans on the disks");
                last = orphans;
            }
            orphans == 0
        })
        .await;
    }

    /// server_id → position among `servers`, by their urls.
    pub(crate) async fn positions(&self) -> BTreeMap<u64, usize> {
        let at = (0..self.nodes.len()).find(|at| self.nodes[*at].is_started()).expect("a node runs");
        let (status, ring) = self.get(at, "/ring").await;
        assert_eq!(status, 200, "{ring}");
        let servers = ring["servers"].as_array().cloned().unwrap_or_default();
        let position = |server: &Value| {
            let url = server["url"].as_str()?;
            Some((server["server_id"].as_u64()?, self.servers.iter().position(|process| process.url == url)?))
        };
        servers.iter().filter_map(position).collect()
    }

    /// The `/ring` row of the server at a position.
    pub(crate) async fn ring_row(&self, position: usize) -> Value {
        let at = (0..self.nodes.len()).find(|at| self.nodes[*at].is_started()).expect("a node runs");
        let ring = self.get(at, "/ring").await.1;
        let servers = ring["servers"].as_array().cloned().unwrap_or_default();
        servers.into_iter().find(|server| server["url"] == self.servers[position].url.as_str()).unwrap_or(Value::Null)
    }

    pub(crate) async fn wait_state(&self, position: usize, state: &str) {
        until(&format!("{} is {state}", self.servers[position].name), async || {
            self.ring_row(position).await["state"] == state
        })
        .await;
    }
}

fn from_stat(stat: &Value) -> Listed {
    let replicas = stat["replicas"].as_array().cloned().unwrap_or_default();
    let id = |replica: &Value| replica["server_id"].as_u64().expect("an id");
    Listed {
        path: stat["path"].as_str().expect("a path").to_owned(),
        sha256: stat["sha256"].as_str().expect("a digest").to_owned(),
        counted: replicas.iter().filter(|replica| replica["counts"] == true).map(id).collect(),
        named: replicas.iter().map(id).collect(),
    }
}

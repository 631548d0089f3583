//! The environment of a node in production: sockets, threads, a disk. Nothing else in consensus makes any of them but the
//! log, whose one thread syncs it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio::runtime::{Builder, Handle, Runtime};

use super::environment::{Environment, Listen};
use super::media::Media;
use super::options::{Options, Settings};
use super::storage::{self, Open};
use super::tasks::{Executor, Tasks, Work};
use super::transport::client::HttpPeers;
use super::transport::{KnownCluster, server};

/// Raft's own threads. Two, so that one long task cannot hold up a heartbeat.
const WORKERS: usize = 2;
/// Applying, snapshots: a few at a time at most.
const BLOCKING_THREADS: usize = 16;
/// How long Raft's tasks may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// What a node starts from in production: its environment, its way in, its data directory and media. To be called on the
/// runtime of the floor above.
///
/// # Errors
/// When the system's resources do not allow the threads or the connections.
pub(crate) fn ground(options: Options, media: Arc<dyn Media>) -> anyhow::Result<(Settings, Environment, Listen, Open)> {
    let Options { node_id, data_dir, peer_listener, url, peer_url, credentials, others, clock, .. } = options;
    let cluster = KnownCluster::default();
    let peers = HttpPeers::new(node_id, &credentials, cluster.clone());
    let environment = Environment { clock, tasks: Tasks::new(Threads::start()?), peers: Arc::new(peers), cluster };
    let gate = options.tuning.gate.clone();
    let listen: Listen = Box::new(move |inbound| {
        let handshake = credentials.server(true)?;
        let port = (peer_listener, gate, Arc::new(move || Arc::clone(&handshake)) as _);
        server::start(port, node_id, inbound, others)
    });
    let open: Open = Box::new(move |opening| storage::open(&data_dir, &*media, opening));
    let settings = Settings {
        node_id,
        url,
        peer_url,
        cluster_name: options.cluster_name,
        members: options.members,
        join: options.join,
        tuning: options.tuning,
    };
    Ok((settings, environment, listen, open))
}

/// A runtime for Raft, beside the one that the floor above runs on.
struct Threads {
    runtime: Mutex<Option<Runtime>>,
    raft: Handle,
    service: Handle,
}

impl Threads {
    fn start() -> anyhow::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("raft")
            .enable_all()
            .build()
            .context("cannot start Raft's threads")?;
        let raft = runtime.handle().clone();
        Ok(Self { runtime: Mutex::new(Some(runtime)), raft, service: Handle::current() })
    }
}

impl Executor for Threads {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(self.raft.spawn(task));
    }

    fn spawn_service(&self, task: BoxFuture<'static, ()>) {
        drop(self.service.spawn(task));
    }

    fn run_blocking(&self, work: Work) {
        drop(self.raft.spawn_blocking(work));
    }

    fn run_query(&self, work: Work) {
        drop(self.service.spawn_blocking(work));
    }

    fn has_ended(&self) -> bool {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Waits until the tasks are gone and with them the databases are closed. RocksDB must not be closing when the
    /// process exits: it locks a mutex that C++ has destroyed by then, and aborts.
    fn end(&self) {
        let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // On a thread of its own, because a runtime may not be waited for on another one's worker.
        let ending = std::thread::Builder::new().name("raft-end".into());
        if let Ok(thread) = ending.spawn(move || runtime.shutdown_timeout(END_TIMEOUT))
            && thread.join().is_err()
        {
            tracing::warn!("Raft's threads did not end cleanly");
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
    }
}

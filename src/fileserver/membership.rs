//! How a file server comes into its cluster and stays there.
//!
//! One task owns the state. It waits for one event (a tick, a measurement, the answer to a heartbeat or to a
//! registration, or the time for the next registration), changes the state, and starts what is due next. Heartbeats
//! to the several nodes, and a registration, are under way at the same time; none waits for another, so that a slow
//! node cannot make this server look dead to the others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use reqwest::StatusCode;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::calls::{CallError, Calls};
use super::identity::{AdmitError, Coming, Identity};
use super::metrics::Metrics;
use super::store::{Store, Usage};
use super::transfer::blocking;
use super::view::View;
use crate::clock::SharedClock;
use crate::domain::{ClusterId, Epoch, ServerId};
use crate::protocol::api::ServerState;
use crate::protocol::registration::{HeartbeatAnswer, HeartbeatRequest, RegisterAnswer, RegisterRequest};

/// A directory has 3 to 7 nodes; whatever claims more is wrong.
const MAX_NODES: usize = 32;
/// A node that has not answered a registration by then may hang: the next one is asked as well. The directory's usual
/// answer takes a round to this server and one commit.
const HEDGE: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Between an admission and the next request for one, at least. A node that lags behind the others may answer that it
/// does not know a server which was admitted a moment ago. The gap doubles each time an admission changed nothing, since
/// a node may be cut off from the others for long.
const FIRST_GAP: Duration = Duration::from_secs(1);
const MAX_GAP: Duration = Duration::from_secs(60);
/// The directory's answers are kept within these bounds.
const HEARTBEAT_MS: std::ops::RangeInclusive<u64> = 50..=60_000;
const INVENTORY_MS: std::ops::RangeInclusive<u64> = 50..=7 * 24 * 3600 * 1000;

enum Event {
    Measured(Option<(Usage, u64)>),
    Beat { url: String, answer: Result<HeartbeatAnswer, CallError> },
    Prepared(anyhow::Result<Coming>),
    Registered { attempt: Attempt, answer: Result<RegisterAnswer, CallError> },
    Kept { attempt: Attempt, answer: Box<RegisterAnswer>, kept: Result<(), AdmitError> },
}

/// A request to be admitted.
struct Attempt {
    url: String,
    started: Instant,
    coming: Coming,
}

/// A directory node.
struct Node {
    url: String,
    /// As of the last heartbeat; nothing before the first.
    reachable: Option<bool>,
    waiting: bool,
}

pub(super) struct Membership {
    identity: Arc<Mutex<Identity>>,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    calls: Calls,
    clock: SharedClock,
    about: RegisterRequest,
    configured: Vec<String>,
    view: watch::Sender<View>,
    nodes: Vec<Node>,
    /// What all registrations up to the next admission say; made when the first of them is due.
    coming: Option<Coming>,
    preparing: bool,
    /// Registrations under way, at most one for each node.
    registering: usize,
    /// When the next registration is due, where one is.
    register_at: Option<Instant>,
    /// Which node is asked next; counts on without end.
    turn: usize,
    /// Failed registrations since the last admission.
    failures: usize,
    last_failure: Option<String>,
    admitted_at: Option<Instant>,
    gap: Duration,
    measuring: bool,
    measurable: bool,
    heartbeat: Duration,
    pending: FuturesUnordered<BoxFuture<'static, Event>>,
}

impl Membership {
    pub(super) fn new(
        identity: Identity,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        (calls, clock): (Calls, SharedClock),
        (url, zone): (String, String),
        directory: &[String],
    ) -> anyhow::Result<(Self, watch::Receiver<View>)> {
        let capacity = store.usage()?.capacity;
        let (view, seen) = watch::channel(View::new(identity.bound()));
        let about = RegisterRequest {
            uuid: identity.uuid(),
            url,
            zone,
            capacity,
            server_id: None,
            cluster_id: None,
            last: None,
            next: None,
        };
        let configured: Vec<String> = directory.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        let mut this = Self {
            identity: Arc::new(Mutex::new(identity)),
            store,
            metrics,
            calls,
            clock,
            about,
            configured,
            view,
            nodes: Vec::new(),
            coming: None,
            preparing: false,
            registering: 0,
            register_at: Some(Instant::now()),
            turn: 0,
            failures: 0,
            last_failure: None,
            admitted_at: None,
            gap: FIRST_GAP,
            measuring: false,
            measurable: true,
            heartbeat: Duration::from_secs(1),
            pending: FuturesUnordered::new(),
        };
        this.learn_nodes(&[]);
        Ok((this, seen))
    }

    /// The hold on the data directory. Whoever has a clone keeps it locked.
    pub(super) fn identity(&self) -> Arc<Mutex<Identity>> {
        Arc::clone(&self.identity)
    }

    /// Runs until `stop`.
    ///
    /// # Errors
    /// When this data directory does not belong to the cluster whose directory it asks: nothing that trying again
    /// would mend.
    pub(super) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(self.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut period = self.heartbeat;
        let mut refusal = self.store.watch_refusal();
        loop {
            let due = self.register_at.filter(|_| self.registering < self.nodes.len() && !self.preparing);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => self.measure(),
                // Uploads that this server has just failed wait until the directory knows why.
                Ok(()) = refusal.changed() => self.measure(),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.come(),
                Some(event) = self.pending.next(), if !self.pending.is_empty() => self.apply(event)?,
            }
            if period != self.heartbeat {
                period = self.heartbeat;
                ticks = tokio::time::interval(period);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
        }
    }

    fn apply(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Measured(measured) => self.measured(measured),
            Event::Beat { url, answer } => self.beaten(&url, answer),
            Event::Registered { attempt, answer } => self.registered(attempt, answer)?,
            Event::Prepared(prepared) => {
                self.preparing = false;
                match prepared {
                    Ok(coming) => self.register(coming),
                    Err(error) => {
                        self.put_off("this server's own disk", &format!("cannot write that it comes: {error:#}"))
                    }
                }
            }
            Event::Kept { attempt, answer, kept } => {
                self.registering -= 1;
                match kept {
                    Err(AdmitError::Foreign(error)) => return Err(error),
                    _ if self.is_late(&attempt) => {}
                    Err(AdmitError::Disk(error)) => {
                        self.put_off(&attempt.url, &format!("admitted, but cannot write that down: {error:#}"));
                    }
                    Ok(()) => self.admitted(&attempt.url, *answer),
                }
            }
        }
        Ok(())
    }

    /// The free space is asked for where blocking is allowed: a disk that hangs must look like a dead server, not hang
    /// everything else.
    fn measure(&mut self) {
        if self.measuring || self.own().is_none() {
            return;
        }
        self.measuring = true;
        let store = Arc::clone(&self.store);
        self.pending.push(Box::pin(async move {
            let measured = blocking(move || store.usage().map(|usage| (usage, store.damaged()))).await;
            Event::Measured(measured.ok().and_then(Result::ok))
        }));
    }

    fn measured(&mut self, measured: Option<(Usage, u64)>) {
        self.measuring = false;
        let Some((usage, errors)) = measured else {
            if std::mem::replace(&mut self.measurable, false) {
                tracing::error!("the disk cannot be measured: no heartbeats are sent until it can; check the disk");
            }
            return;
        };
        self.measurable = true;
        let Some((_, server_id, epoch)) = self.own() else { return };
        let request = Arc::new(HeartbeatRequest {
            uuid: self.about.uuid,
            server_id,
            epoch,
            capacity: usage.capacity,
            free: usage.free,
            used: usage.used,
            blobs: usage.blobs,
            errors,
            scrub: self.metrics.asked_scrub(),
            refusal: self.store.refusal().map(|why| why.as_ref().to_owned()),
        });
        self.about.capacity = usage.capacity;
        for node in self.nodes.iter_mut().filter(|node| !node.waiting) {
            node.waiting = true;
            let (calls, url, request) = (self.calls.clone(), node.url.clone(), Arc::clone(&request));
            self.pending.push(Box::pin(async move {
                let answer = calls.heartbeat(&url, &request).await;
                Event::Beat { url, answer }
            }));
        }
    }

    fn beaten(&mut self, url: &str, answer: Result<HeartbeatAnswer, CallError>) {
        let Some(node) = self.nodes.iter_mut().find(|node| node.url == url) else { return };
        node.waiting = false;
        let was = node.reachable.replace(answer.is_ok());
        match answer {
            Err(error) => {
                self.metrics.heartbeats_failed.inc();
                if was != Some(false) {
                    tracing::warn!(node = url, %error, "a directory node does not take heartbeats");
                }
            }
            Ok(answer) => {
                if was == Some(false) {
                    tracing::info!(node = url, "the directory node takes heartbeats again");
                }
                self.told(url, answer);
            }
        }
    }

    fn told(&mut self, url: &str, answer: HeartbeatAnswer) {
        self.told_time(answer.now_ms);
        let epoch = self.own().map(|(_, _, epoch)| epoch);
        let estranged = !answer.known || Some(answer.epoch) != epoch || answer.state == ServerState::Down;
        // A node may be a moment behind the one that admitted this server: its next answer will tell.
        let lags =
            (!answer.known || Some(answer.epoch) < epoch) && self.admitted_at.is_some_and(|at| at.elapsed() < self.gap);
        if estranged && !lags && self.register_at.is_none() {
            let (state, theirs) = (answer.state, answer.epoch);
            tracing::info!(node = url, known = answer.known, ?state, epoch = %theirs, "registering again");
            let now = Instant::now();
            self.register_at = Some(self.admitted_at.map_or(now, |at| now.max(at + self.gap)));
        }
        if answer.known {
            self.learn_nodes(&answer.directory);
            self.view.send_modify(|view| view.learn_servers(answer.servers));
        }
    }

    /// Asks the next node, once it is on the disk what is to be said.
    fn come(&mut self) {
        if let Some(coming) = self.coming {
            return self.register(coming);
        }
        self.preparing = true;
        let (identity, clock) = (Arc::clone(&self.identity), self.clock.clone());
        self.pending.push(Box::pin(async move {
            let prepared = blocking(move || held(&identity).begin_coming(&clock)).await;
            Event::Prepared(prepared.unwrap_or_else(|error| Err(error.into())))
        }));
    }

    fn register(&mut self, coming: Coming) {
        self.coming = Some(coming);
        let Some(node) = self.nodes.get(self.turn % self.nodes.len().max(1)) else { return };
        self.turn = self.turn.wrapping_add(1);
        self.registering += 1;
        let now = Instant::now();
        self.register_at = Some(now + HEDGE);
        let attempt = Attempt { url: node.url.clone(), started: now, coming };
        let calls = self.calls.clone();
        let bound = self.view.borrow().bound;
        let about = RegisterRequest {
            server_id: bound.map(|(_, server_id)| server_id),
            cluster_id: bound.map(|(cluster_id, _)| cluster_id),
            last: coming.last,
            next: Some(coming.next),
            ..self.about.clone()
        };
        self.pending.push(Box::pin(async move {
            let answer = calls.register(&attempt.url, &about).await;
            Event::Registered { attempt, answer }
        }));
    }

    /// Whether another node has admitted the server since, so that what this one says is old.
    fn is_late(&self, attempt: &Attempt) -> bool {
        self.admitted_at.is_some_and(|at| at >= attempt.started)
    }

    /// # Errors
    /// When the directory says that it will never admit this data directory.
    fn registered(&mut self, attempt: Attempt, answer: Result<RegisterAnswer, CallError>) -> anyhow::Result<()> {
        match answer {
            _ if self.is_late(&attempt) => self.registering -= 1,
            Ok(answer) => {
                let identity = Arc::clone(&self.identity);
                self.pending.push(Box::pin(async move {
                    let (cluster_id, server_id, next) = (answer.cluster_id, answer.server_id, attempt.coming.next);
                    let kept = blocking(move || held(&identity).admit(cluster_id, server_id, next)).await;
                    let kept = kept.unwrap_or_else(|error| Err(AdmitError::Disk(error.into())));
                    Event::Kept { attempt, answer: Box::new(answer), kept }
                }));
            }
            Err(CallError::Refused { status: StatusCode::BAD_REQUEST, detail }) => anyhow::bail!(detail),
            Err(error) => {
                self.registering -= 1;
                self.put_off(&attempt.url, &error.to_string());
            }
        }
        Ok(())
    }

    /// After a failure: logs it where it is another one than before, and asks again later. A refusal is no different.
    /// Whether another process goes by its identity, or whether it came and went too often and is let in again later: the
    /// directory says so, and may say otherwise the next time.
    fn put_off(&mut self, asked: &str, failure: &str) {
        self.failures += 1;
        if self.last_failure.as_deref() != Some(failure) {
            tracing::warn!(asked, failure, "not admitted, will ask again");
            self.last_failure = Some(failure.to_owned());
        }
        self.register_at = Some(Instant::now() + self.backoff());
    }

    /// Permissions end by the time that the directory nodes agree on. It is late by the way of the answer, at most the
    /// patience with a heartbeat.
    fn told_time(&self, now_ms: Option<u64>) {
        if let Some(now_ms) = now_ms {
            self.clock.agreed_is(now_ms, "the directory nodes");
        }
    }

    fn admitted(&mut self, url: &str, answer: RegisterAnswer) {
        self.told_time(answer.now_ms);
        self.failures = 0;
        self.register_at = None;
        self.coming = None;
        self.last_failure = None;
        self.admitted_at = Some(Instant::now());
        self.heartbeat = Duration::from_millis(answer.heartbeat_ms.clamp(*HEARTBEAT_MS.start(), *HEARTBEAT_MS.end()));
        let inventory = Duration::from_millis(answer.inventory_ms.clamp(*INVENTORY_MS.start(), *INVENTORY_MS.end()));
        self.metrics.registrations.inc();
        self.learn_nodes(&answer.directory);
        // The node that answered is the first to be asked the next time.
        self.turn = self.nodes.iter().position(|node| node.url == url).unwrap_or(0);
        let RegisterAnswer { cluster_id, server_id, epoch, servers, .. } = answer;
        if self.own() == Some((cluster_id, server_id, epoch)) {
            self.gap = (self.gap * 2).min(MAX_GAP);
        } else {
            self.gap = FIRST_GAP;
            tracing::info!(%cluster_id, %server_id, %epoch, "admitted to the cluster");
        }
        self.view.send_modify(|view| {
            view.bound = Some((cluster_id, server_id));
            view.epoch = Some(epoch);
            view.inventory = inventory;
            view.learn_servers(servers);
        });
        self.measure();
    }

    /// Every node is tried at once in turn; then it waits, longer each time round.
    fn backoff(&self) -> Duration {
        let nodes = self.nodes.len().max(1);
        if !self.failures.is_multiple_of(nodes) {
            return Duration::ZERO;
        }
        let rounds = u32::try_from(self.failures / nodes).unwrap_or(u32::MAX).saturating_sub(1).min(10);
        (FIRST_BACKOFF * 2_u32.pow(rounds)).min(MAX_BACKOFF)
    }

    fn own(&self) -> Option<(ClusterId, ServerId, Epoch)> {
        let view = self.view.borrow();
        let (cluster_id, server_id) = view.bound?;
        Some((cluster_id, server_id, view.epoch?))
    }

    /// The nodes are those of the configuration and those that the directory last named.
    fn learn_nodes(&mut self, told: &[String]) {
        let mut nodes: Vec<Node> = Vec::new();
        for url in self.configured.iter().map(String::as_str).chain(told.iter().map(|url| url.trim_end_matches('/'))) {
            if nodes.len() == MAX_NODES || nodes.iter().any(|node| node.url == url) {
                continue;
            }
            let known = self.nodes.iter().position(|node| node.url == url).map(|at| self.nodes.swap_remove(at));
            nodes.push(known.unwrap_or_else(|| Node { url: url.to_owned(), reachable: None, waiting: false }));
        }
        let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
        self.nodes = nodes;
        self.view.send_if_modified(|view| {
            let is_new = *view.nodes != urls;
            if is_new {
                view.nodes = Arc::new(urls);
            }
            is_new
        });
    }
}

/// A registration that panics leaves the record as it is on the disk: it is changed after the fact.
fn held(identity: &Mutex<Identity>) -> MutexGuard<'_, Identity> {
    identity.lock().unwrap_or_else(PoisonError::into_inner)
}

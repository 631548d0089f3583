//! The client of the directory: whom a call goes to, and how often.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::answer::Answer;
use super::attempt::Wire;
use super::error::ClientError;
use super::nodes::{Chosen, Nodes};
use super::request::{Request, RequestBody};
use super::retry::{Attempts, Failure, Limits};
use crate::clock::SharedClock;
use crate::protocol::api::Cluster;
use crate::trust::{self, Credentials, Expected, Members};

/// How long finding the leader may take before a change goes to any node, which forwards it.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(2);
/// How many nodes are asked for that.
const NODES_ASKED: usize = 3;

/// A user's access to one cluster. Cheap to clone; clones share connections and what is known about the nodes.
///
/// Reads go to any node. Changes prefer the leader, which is asked for once and remembered until it fails; every
/// node takes them, so a wrong belief costs a detour and nothing else. Uploads and downloads hold a chunk in memory,
/// whatever the size of the file.
#[derive(Clone)]
pub struct Directory {
    pub(super) wire: Wire,
    pub(super) clock: SharedClock,
    /// Where set, the key of every change in place of a fresh one.
    key: Option<String>,
    learns: bool,
}

impl Directory {
    /// A client of the cluster of which `urls` are nodes; it finds the others by itself.
    ///
    /// # Errors
    /// When an url is no `http://host:port` or `https://host:port`, or the token cannot be one.
    pub fn new(urls: Vec<Url>, token: Option<String>) -> Result<Self, ClientError> {
        Self::with_limits(urls, token, Limits::default())
    }

    /// As [`Self::new`], with other deadlines.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_limits(urls: Vec<Url>, token: Option<String>, limits: Limits) -> Result<Self, ClientError> {
        Self::with_authority(urls, token, limits, None)
    }

    /// As [`Self::with_limits`], believing the authorities of a PEM file besides those that this machine does.
    ///
    /// # Errors
    /// As [`Self::new`]; when the file cannot be read, or holds no certificate.
    pub fn with_authority(
        urls: Vec<Url>,
        token: Option<String>,
        limits: Limits,
        ca_file: Option<&Path>,
    ) -> Result<Self, ClientError> {
        let clock = SharedClock::system();
        // No proxy: a token in plain HTTP goes to the cluster's own nodes only. No redirects: a body has to be
        // opened anew for each, and a ticket takes the place of the token. No retries: they are made here.
        let http = trust::for_users(ca_file)
            .map_err(|error| ClientError::usage(format!("{error:#}")))?
            .retry(reqwest::retry::never())
            .connect_timeout(limits.connect)
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(20))
            .user_agent(concat!("ringmaster/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ClientError::usage(format!("cannot make an HTTP client: {error}")))?;
        let nodes = Arc::new(Nodes::new(urls, true, clock.clone())?);
        let wire = Wire { http, nodes, limits, token: None };
        Self { wire, clock, key: None, learns: true }.with_token(token)
    }

    /// A client for who calls as a member of the cluster, at the directory nodes' addresses for members; it keeps to these.
    ///
    /// # Errors
    /// When an url is no `https://host:port`.
    pub fn of_member(urls: Vec<Url>, credentials: Credentials, limits: Limits) -> Result<Self, ClientError> {
        let clock = SharedClock::system();
        let connect = limits.connect;
        let members = Members::new(credentials, move |client| {
            client.retry(reqwest::retry::never()).connect_timeout(connect).tcp_nodelay(true)
        });
        let http = members
            .of(Expected::AnyDirectory)
            .map_err(|error| ClientError::usage(format!("cannot make an HTTP client: {error:#}")))?;
        let nodes = Arc::new(Nodes::new(urls, false, clock.clone())?);
        Ok(Self { wire: Wire { http, nodes, limits, token: None }, clock, key: None, learns: false })
    }

    /// The same cluster for another user, or for nobody.
    ///
    /// # Errors
    /// When the token has characters that no header can carry.
    pub fn with_token(mut self, token: Option<String>) -> Result<Self, ClientError> {
        self.wire.token = match token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                    .map_err(|_| ClientError::usage("this is no token: log in again"))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(self)
    }

    /// Sends the next changes under this key instead of fresh ones: to repeat a change whose outcome is unknown.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same user at this node alone, without its fellows.
    ///
    /// # Errors
    /// When the url is no `http://host:port` or `https://host:port`.
    pub fn at(&self, url: Url) -> Result<Self, ClientError> {
        let nodes = Arc::new(Nodes::new(vec![url], false, self.clock.clone())?);
        Ok(Self { wire: Wire { nodes, ..self.wire.clone() }, learns: false, ..self.clone() })
    }

    pub(super) fn next_key(&self) -> String {
        self.key.clone().unwrap_or_else(|| format!("{:032x}", self.clock.random_u128()))
    }

    /// Makes a call: attempts until one brings an answer, or none can.
    pub(super) async fn call(&self, request: &Request) -> Result<Answer, ClientError> {
        let mut attempts = Attempts::new(&self.wire.limits, &self.clock, request.key.clone());
        loop {
            let node = self.node_for(request, attempts.remaining()).await;
            let began = Instant::now();
            let limit = attempts.limit();
            let attempt = self.whole_attempt(&node, request, limit, attempts.broken()).await;
            let failure = match self.wire.noted(&node, attempt) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if matches!(request.body, RequestBody::Source(_)) {
                attempts.extend(began.elapsed());
            }
            attempts.after(failure).await?;
        }
    }

    pub(super) async fn call_json<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ClientError> {
        self.call(request).await?.json()
    }

    /// One attempt with the whole of its answer.
    pub(super) async fn whole_attempt(
        &self,
        node: &Chosen,
        request: &Request,
        limit: Duration,
        breaks: u32,
    ) -> Result<Answer, Failure> {
        let response = self.wire.attempt(node, request, limit, breaks).await?;
        Answer::read(&node.url, response, limit).await
    }

    /// The node for the next attempt; for a change, the leader, where anybody says who that is.
    pub(super) async fn node_for(&self, request: &Request, remaining: Duration) -> Chosen {
        let prefer_leader = request.key.is_some();
        if prefer_leader && self.learns && self.wire.token.is_some() && !self.wire.nodes.leader_known() {
            self.discover(DISCOVERY_LIMIT.min(remaining)).await;
        }
        self.wire.nodes.choose(prefer_leader)
    }

    /// Asks a few nodes, one after the other, until one says who leads.
    async fn discover(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for _ in 0..NODES_ASKED {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let node = self.wire.nodes.choose(false);
            match self.whole_attempt(&node, &Request::get("/cluster"), left, 0).await {
                Ok(answer) => {
                    let Ok(cluster) = answer.json::<Cluster>() else { return };
                    self.wire.nodes.learn(&node, &cluster);
                    if cluster.leader_id.is_some() || !self.wire.nodes.are_several() {
                        return;
                    }
                    self.wire.nodes.pass_on(&node);
                }
                // A refusal (say, of an old token) is for the call itself to meet. A node that cannot say who leads now
                // may still be the one that does the work.
                Err(Failure::Final(_) | Failure::NotNow { .. }) => return,
                Err(failure @ (Failure::Unreachable { .. } | Failure::Unknown { .. })) => {
                    self.wire.nodes.failed(&node, failure.is_silence());
                }
            }
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("nodes", &self.wire.nodes).finish_non_exhaustive()
    }
}

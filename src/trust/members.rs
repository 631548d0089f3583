//! Clients for calls between members.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use super::credentials::Credentials;
use super::crypto::http;
use super::identity::{Expected, Identity};

/// Clients that are kept: more than a cluster has members. Beyond it all are made anew.
const MOST: usize = 16_384;

/// One HTTP client for each member that is called, so that a connection to one is never taken for another. A clone shares
/// them.
#[derive(Clone)]
pub struct Members(Arc<Inner>);

struct Inner {
    credentials: Credentials,
    build: Box<dyn Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync>,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    /// Of the certificate that they show.
    generation: u64,
    known: HashMap<Expected, reqwest::Client>,
}

impl Members {
    /// `build` sets what the clients differ in from [`http()`]: times and pools.
    pub fn new(
        credentials: Credentials,
        build: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner { credentials, build: Box::new(build), clients: Mutex::default() }))
    }

    /// The client for this member.
    ///
    /// # Errors
    /// When the system's resources do not allow a client.
    pub fn member(&self, identity: Identity) -> anyhow::Result<reqwest::Client> {
        self.of(Expected::Member(identity))
    }

    /// The client for whoever is `expected`.
    ///
    /// # Errors
    /// As [`Self::member`].
    pub fn of(&self, expected: Expected) -> anyhow::Result<reqwest::Client> {
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.0.credentials.generation();
        if clients.generation != generation {
            // Connections that are kept show the old certificate, or none. What is under way on them goes on.
            *clients = Clients { generation, known: HashMap::new() };
        }
        if let Some(client) = clients.known.get(&expected) {
            return Ok(client.clone());
        }
        let tls = self.0.credentials.client(expected)?;
        let client = (self.0.build)(http().https_only(true))
            .tls_backend_preconfigured(tls)
            .build()
            .context("cannot make an HTTP client")?;
        if clients.known.len() >= MOST {
            clients.known.clear();
        }
        clients.known.insert(expected, client.clone());
        Ok(client)
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

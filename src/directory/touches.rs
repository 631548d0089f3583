//! Which sessions this node has just told the cluster to be in use, so that a hundred requests at once say so once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::Sha256;

/// One that was not noted after this long is told of again.
const PATIENCE: Duration = Duration::from_secs(60);
/// Sessions within that time; of more nothing is told until it is over.
const REMEMBERED: usize = 4096;

#[derive(Debug)]
pub(crate) struct Touches(Mutex<(Instant, HashSet<[u8; 32]>)>);

impl Default for Touches {
    fn default() -> Self {
        Self(Mutex::new((Instant::now(), HashSet::new())))
    }
}

impl Touches {
    /// Whether this is the first to tell of the session.
    pub(crate) fn begins(&self, token_hash: &Sha256) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0.elapsed() > PATIENCE {
            *told = (Instant::now(), HashSet::new());
        }
        told.1.len() < REMEMBERED && told.1.insert(token_hash.0)
    }
}

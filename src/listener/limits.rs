//! How many connections a listener holds, and how long it waits for them.

use std::time::Duration;

use super::descriptors;
use crate::config::{Connections, FileServerConfig};

/// A body may be that much behind its slowest rate: what a network takes to start, or to lose a few packets.
const SLACK: Duration = Duration::from_secs(10);

/// What a listener allows. The numbers are of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// Of callers who have not authenticated.
    pub strangers: usize,
    /// Of these, from one address; of IPv6, from one /64, which is what one line is given.
    pub per_address: usize,
    /// Of one user.
    pub per_user: usize,
    /// Places that users do not get, whatever their number: members of the cluster do.
    pub reserved: usize,
    /// For the whole head of a request, from the connection's beginning or from the head's first byte.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// The slowest that the body of a stranger may come, in bytes per second, while it is waited for.
    pub slowest: u64,
    /// How far behind that it may be.
    pub slack: Duration,
    /// How long a stranger may leave an answer unread.
    pub stall: Duration,
    /// How long who has authenticated may pause: in sending a body, and in reading an answer.
    pub pause: Duration,
}

/// What a listener is for, which decides its part of the descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The users' port of a directory node.
    Users,
    /// The port of a directory node for the others.
    Peers,
    /// The port of a file server.
    Blobs,
    /// Where a process is watched.
    Monitoring,
}

impl Limits {
    /// Those of a file server.
    pub fn of_file_server(config: &FileServerConfig) -> Self {
        Self::new(Purpose::Blobs, &config.connections)
    }

    /// Those of the listener for metrics.
    pub(crate) fn of_monitoring() -> Self {
        Self::for_descriptors(Purpose::Monitoring, descriptors::allowed())
    }

    /// What is configured, and for the rest what the descriptors of this process allow.
    pub(crate) fn new(purpose: Purpose, configured: &Connections) -> Self {
        let mut limits = Self::for_descriptors(purpose, descriptors::allowed());
        if let Some(most) = configured.max {
            limits = Self::of_total(usize::try_from(most).unwrap_or(usize::MAX));
        }
        Self {
            head: configured.head,
            idle: configured.idle,
            slowest: configured.slowest,
            stall: configured.stall,
            pause: configured.pause,
            ..limits
        }
    }

    /// Half of a directory node's descriptors are its databases'. Of the other half users have a quarter, since each may
    /// need two connections to file servers more; nodes have two quarters, as each request of a user may come to be one of
    /// theirs. A file server opens two files for each connection.
    pub(crate) fn for_descriptors(purpose: Purpose, allowed: u64) -> Self {
        let (part, most) = match purpose {
            Purpose::Users => (allowed / 8, 16_384),
            Purpose::Peers => (allowed / 4, 4_096),
            Purpose::Blobs => (allowed / 4, 8_192),
            // A few ask, now and then.
            Purpose::Monitoring => (allowed / 16, 128),
        };
        Self::of_total(usize::try_from(part.clamp(64, most)).unwrap_or(usize::MAX))
    }

    /// With the parts of a total that are not configured. Eyeballed: each is large beside what an honest caller has.
    fn of_total(total: usize) -> Self {
        Self {
            total,
            strangers: (total / 2).max(1),
            per_address: (total / 4).max(1),
            per_user: (total / 2).max(1),
            reserved: total / 4,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            slowest: 1024,
            slack: SLACK,
            stall: Duration::from_secs(30),
            pause: Duration::from_secs(600),
        }
    }
}

impl Default for Limits {
    /// Those of nodes among themselves.
    fn default() -> Self {
        Self::for_descriptors(Purpose::Peers, descriptors::allowed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_shells_descriptors_are_enough_for_all_listeners() {
        let users = Limits::for_descriptors(Purpose::Users, 1024);
        let peers = Limits::for_descriptors(Purpose::Peers, 1024);
        assert_eq!((users.total, users.strangers, users.per_address), (128, 64, 32));
        let watchers = Limits::for_descriptors(Purpose::Monitoring, 1024);
        // The databases have half, each user up to two connections of a node's own.
        assert!(512 + users.total + peers.total + watchers.total < 1024, "{users:?} {peers:?} {watchers:?}");
        let blobs = Limits::for_descriptors(Purpose::Blobs, 1024);
        assert!(3 * blobs.total + watchers.total < 1024, "{blobs:?}");
    }
}

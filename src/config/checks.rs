//! What no single value shows: that ports, urls, members and durations go together.

mod edge;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::{ConfigError, Connections, DirectoryConfig, FileServerConfig, Log};

/// The least log between two snapshots, in bytes.
const SMALLEST_LOG: u64 = 1 << 20;
/// The longest duration that makes sense for anything here; longer ones are mistakes such as "30d" for "30s".
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// Less than this, and what one read needs drives out what the next one needs.
const SMALLEST_CACHE: u64 = 8 << 20;
/// `cluster.name` and `server.zone` are shown in tables and used as metric labels.
const MAX_NAME_BYTES: usize = 64;
/// Less than this and a file server could not take a single chunk with its checksums.
const MIN_CAPACITY: u64 = 1 << 20;
/// In bytes per second. The scrubber reads no slower while there is anything to read.
const MIN_SCRUB_RATE: u64 = 1 << 20;

/// With less the parts that strangers, users and members have are of a few connections each.
const MIN_CONNECTIONS: u64 = 16;

/// Less than a few whole JSON bodies.
const SMALLEST_UNFINISHED: u64 = 4 << 20;

#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.0.push(otherwise());
        }
    }

    fn finish(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError(self.0)) }
    }

    fn listen(&mut self, key: &str, address: SocketAddr) {
        self.require(address.port() != 0, || {
            format!("`{key}` is {address}: port 0 would be another port at each start; choose one")
        });
    }

    fn advertise(&mut self, key: &str, url: &str, is_unspecified: bool) {
        self.require(!is_unspecified, || {
            format!(
                "`{key}` is {url}, at which no other machine can call: set `{key}` to this machine's name or address"
            )
        });
    }

    fn name(&mut self, key: &str, name: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        self.require(name.len() <= MAX_NAME_BYTES && name.chars().all(plain), || {
            format!("`{key}` is \"{name}\": use up to {MAX_NAME_BYTES} letters, digits, dashes, underscores and dots")
        });
    }

    fn log(&mut self, log: &Log) {
        if let Err(error) = EnvFilter::builder().parse(&log.level) {
            let level = &log.level;
            self.0.push(format!(
                "`log.level` is \"{level}\" ({error}): use error, warn, info, debug or trace, or a filter such as info,ringmaster=debug"
            ));
        }
    }

    fn connections(&mut self, connections: &Connections) {
        let seconds = Duration::from_secs;
        self.require(connections.max.is_none_or(|max| max >= MIN_CONNECTIONS), || {
            format!(
                "`connections.max` is {}: use {MIN_CONNECTIONS} or more, or leave it out",
                connections.max.unwrap_or_default()
            )
        });
        self.at_least("connections.head", connections.head, seconds(1));
        self.at_least("connections.idle", connections.idle, seconds(1));
        self.at_least("connections.stall", connections.stall, seconds(1));
        self.at_least("connections.pause", connections.pause, seconds(1));
        self.require(connections.slowest > 0, || {
            "`connections.slowest` is 0, which any body keeps up: the default is \"1KiB\"".into()
        });
    }

    fn at_least(&mut self, key: &str, value: Duration, least: Duration) {
        self.require(value >= least && value <= LONGEST, || {
            format!(
                "`{key}` is {}: use between {} and {}",
                humantime_serde::re::humantime::format_duration(value),
                humantime_serde::re::humantime::format_duration(least),
                humantime_serde::re::humantime::format_duration(LONGEST),
            )
        });
    }
}

pub(super) fn directory(config: &DirectoryConfig) -> Result<(), ConfigError> {
    let mut problems = Problems::default();
    let node = &config.node;
    problems.require(node.id > 0, || "`node.id` is 0: number the nodes from 1".into());
    problems.listen("node.listen", node.listen);
    problems.listen("node.peer_listen", node.peer_listen);
    problems.require(node.listen != node.peer_listen, || {
        format!("`node.listen` and `node.peer_listen` are both {}: give each its own port", node.listen)
    });
    let taken = [("node.listen", node.listen), ("node.peer_listen", node.peer_listen)];
    edge::metrics(config.metrics_listen(), config.metrics_token_file(), &taken, &mut problems);
    edge::users(config, &mut problems);
    problems.advertise("node.advertise", node.advertise().as_str(), node.advertise().is_unspecified());
    problems.advertise("node.peer_advertise", node.peer_advertise().as_str(), node.peer_advertise().is_unspecified());
    problems.name("cluster.name", &config.cluster.name);
    problems.require(!config.cluster.name.is_empty(), || "`cluster.name` is empty: give the cluster a name".into());
    members(config, &mut problems);

    problems.require((1..=5).contains(&config.replication.copies), || {
        format!("`replication.copies` is {}: use 1 to 5", config.replication.copies)
    });
    let ms = Duration::from_millis;
    problems.at_least("replication.interval", config.replication.interval, ms(10));
    problems.require((1..=64).contains(&config.replication.streams), || {
        format!("`replication.streams` is {}: use 1 to 64", config.replication.streams)
    });
    problems.require(config.replication.bandwidth >= 64 * 1024, || {
        format!("`replication.bandwidth` is {} bytes per second: use 64KiB or more", config.replication.bandwidth)
    });
    problems.at_least("garbage.linger", config.garbage.linger, ms(0));
    problems.at_least("garbage.grace", config.garbage.grace, ms(0));
    problems.at_least("detection.heartbeat", config.detection.heartbeat, ms(10));
    let (heartbeat, dead_after) = (config.detection.heartbeat, config.detection.dead_after);
    problems.require(dead_after > heartbeat && dead_after <= LONGEST, || {
        format!(
            "`detection.dead_after` is {}, which is not more than `detection.heartbeat`, {}: \
             every file server would count as dead between two reports; use several times as much",
            humantime_serde::re::humantime::format_duration(dead_after),
            humantime_serde::re::humantime::format_duration(heartbeat),
        )
    });
    problems.require(config.limits.max_file_bytes > 0, || {
        "`limits.max_file_bytes` is 0: no file could be stored; the default is \"5TiB\"".into()
    });
    problems.require(config.storage.cache >= SMALLEST_CACHE, || {
        format!("`storage.cache` is {} bytes: use 8MiB or more; the default is \"160MiB\"", config.storage.cache)
    });
    problems.connections(&config.connections);
    problems.require(config.connections.unfinished >= SMALLEST_UNFINISHED, || {
        format!("`connections.unfinished` is {} bytes: use 4MiB or more", config.connections.unfinished)
    });
    for (key, value) in [
        ("logins.account_failures", config.logins.account_failures),
        ("logins.address_failures", config.logins.address_failures),
    ] {
        problems.require(value > 0, || format!("`{key}` is 0: nobody could mistype a password; use 1 or more"));
    }
    problems.require(config.logins.address_signups > 0, || {
        "`logins.address_signups` is 0: to have nobody sign up set the policy's signup_mode to closed".into()
    });
    let shedding = &config.shedding;
    for (key, value) in [
        ("shedding.reads", shedding.reads),
        ("shedding.writes", shedding.writes),
        ("shedding.uploads", shedding.uploads),
        ("shedding.listings", shedding.listings),
        ("shedding.logins", shedding.logins),
    ] {
        problems.require(value > 0, || format!("`{key}` is 0, which refuses all of them: use 1 or more"));
    }
    problems.at_least("logins.longest_wait", config.logins.longest_wait, ms(1000));
    problems.log(&config.log);

    let raft = &config.raft;
    problems.at_least("raft.heartbeat", raft.heartbeat, ms(5));
    problems.require(raft.election_min >= 2 * raft.heartbeat, || {
        "`raft.election_min` is less than twice `raft.heartbeat`: one late heartbeat would start an election; use three times"
            .into()
    });
    problems.require(raft.election_max > raft.election_min && raft.election_max <= LONGEST, || {
        "`raft.election_max` is not more than `raft.election_min`: nodes that wait equally long split the vote; leave some room"
            .into()
    });
    problems.require(raft.snapshot_after > 0, || "`raft.snapshot_after` is 0: the default is 50000".into());
    problems.require(raft.snapshot_after_bytes >= SMALLEST_LOG, || {
        "`raft.snapshot_after_bytes` is less than 1MiB: snapshots would take longer than what they save; the default is \"256MiB\""
            .into()
    });
    problems.require((1..=8 << 20).contains(&raft.snapshot_piece), || {
        "`raft.snapshot_piece` is not between 1B and 8MiB: the default is \"1MiB\"".into()
    });
    problems.require(raft.sync_delay <= Duration::from_secs(1), || "`raft.sync_delay` is more than a second".into());
    problems.finish()
}

fn members(config: &DirectoryConfig, problems: &mut Problems) {
    let (node, cluster) = (&config.node, &config.cluster);
    problems.require(!cluster.members.is_empty(), || {
        "`cluster.members` is empty: add one [[cluster.members]] block with id, url and peer for each first member"
            .into()
    });
    let (mut ids, mut urls) = (BTreeSet::new(), BTreeSet::new());
    for member in &cluster.members {
        problems.require(member.id > 0, || "`cluster.members` has the id 0: number the nodes from 1".into());
        problems.require(ids.insert(member.id), || {
            format!("`cluster.members` lists id {} twice: give each member its own id", member.id)
        });
        let (url, peer) = (&member.url, &member.peer);
        for (url, unspecified) in [(url.as_str(), url.is_unspecified()), (peer.as_str(), peer.is_unspecified())] {
            let place = url.split_once("://").map_or(url, |(_, place)| place);
            problems.require(urls.insert(place), || {
                format!("`cluster.members` uses {place} twice: each url and each peer is an address of its own")
            });
            problems.advertise("cluster.members", url, unspecified);
        }
    }
    let listed = cluster.members.iter().find(|member| member.id == node.id);
    match listed {
        None => problems.require(cluster.join || cluster.members.is_empty(), || {
            let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
            format!(
                "`node.id` is {}, but `cluster.members` lists {}: add this node to the list, or set `join = true` \
                 under [cluster] if it is to join a cluster that runs already",
                node.id,
                ids.join(", ")
            )
        }),
        Some(_) if cluster.join => problems.0.push(format!(
            "`cluster.join` is true, but node {} is listed in `cluster.members`: list only the members that are there already",
            node.id
        )),
        Some(member) => {
            for (what, key, listed, own) in [
                ("url", "node.advertise", member.url.as_str(), node.advertise().to_string()),
                ("peer", "node.peer_advertise", member.peer.as_str(), node.peer_advertise().to_string()),
            ] {
                problems.require(listed == own, || {
                    format!(
                        "`cluster.members` gives node {} the {what} {listed}, but `{key}` is {own}: make them the same",
                        node.id
                    )
                });
            }
        }
    }
}

pub(super) fn file_server(config: &FileServerConfig) -> Result<(), ConfigError> {
    let mut problems = Problems::default();
    let server = &config.server;
    problems.listen("server.listen", server.listen);
    let taken = [("server.listen", server.listen)];
    edge::metrics(config.metrics_listen(), config.metrics_token_file(), &taken, &mut problems);
    problems.advertise("server.advertise", server.advertise().as_str(), server.advertise().is_unspecified());
    problems.name("server.zone", &server.zone);
    if let Some(capacity) = server.capacity {
        problems.require(capacity >= MIN_CAPACITY, || {
            format!("`server.capacity` is {capacity} bytes: use at least \"1MiB\", or leave it out for the whole disk")
        });
    }
    problems.require(config.scrub.max_rate >= MIN_SCRUB_RATE, || {
        format!(
            "`scrub.max_rate` is {} bytes: use at least \"1MiB\"; `scrub.interval = \"0s\"` stops it",
            config.scrub.max_rate
        )
    });
    if !config.scrub.interval.is_zero() {
        problems.at_least("scrub.interval", config.scrub.interval, Duration::from_secs(1));
    }
    problems.require(!config.cluster.directory.is_empty(), || {
        "`cluster.directory` is empty: list the urls of the directory nodes".into()
    });
    let mut seen = BTreeSet::new();
    for url in &config.cluster.directory {
        problems.require(seen.insert(url), || format!("`cluster.directory` lists {url} twice"));
        problems.require(*url != server.advertise(), || {
            format!("`cluster.directory` lists {url}, which is this file server itself: list the directory nodes")
        });
        problems.advertise("cluster.directory", url.as_str(), url.is_unspecified());
    }
    problems.connections(&config.connections);
    problems.log(&config.log);
    problems.finish()
}

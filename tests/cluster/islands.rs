//! Network namespaces that can be cut off from one another and joined again, at any moment and in one direction alone.
//!
//! ```text
//!             mainland (this namespace)
//!                |
//!              router            forwards, except between those that are cut
//!             /  |  \
//!      island 0  1  2 …          one namespace each
//! ```
//!
//! A cut is a rule of the router's that throws the packets from one address to another away, without a word to the
//! sender, as a broken switch would. The router is a namespace of its own, so nothing of the machine's own network is
//! changed. It needs root and `ip`; where these are missing, `rise` says so and gives nothing.
//!
//! A cut in one direction loses packets, not messages: TCP's acknowledgements are lost as well, so the other direction
//! carries what goes over connections that are there, for a while, and no new connection.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::skip::skip;
use crate::support::{Cluster, METRICS_TOKEN, write_secret};

const MAX_ISLANDS: usize = 8;

/// Somewhere on the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Mainland,
    Island(usize),
}

/// A router and its islands. Gone when this is dropped.
pub(crate) struct Islands {
    name: String,
    net: u8,
    count: usize,
    /// No other test has this net.
    _lock: File,
}

fn ip(arguments: &str) -> Result<(), String> {
    ip_with(&arguments.split(' ').collect::<Vec<_>>())
}

fn ip_with(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error} (package iproute2)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {}", arguments.join(" "), said.trim())) }
}

impl Islands {
    /// Islands that all reach one another and the mainland. Where that is not permitted it says so, and gives none.
    pub(crate) fn rise(count: usize) -> Option<Self> {
        assert!(count <= MAX_ISLANDS, "a net has four addresses for each");
        let locks = std::env::temp_dir().join("ringmaster-test-nets");
        std::fs::create_dir_all(&locks).expect("a directory for the locks of nets");
        for net in 1..250 {
            let lock = File::create(locks.join(net.to_string())).expect("a lock file");
            if lock.try_lock().is_ok() {
                let this = Self { name: format!("rm{net}"), net, count, _lock: lock };
                this.sink(MAX_ISLANDS); // What a test left that was killed.
                return match this.connect() {
                    Ok(()) => Some(this),
                    Err(why) => {
                        skip("a network of its own (root, ip)", &why);
                        None
                    }
                };
            }
        }
        panic!("every net is in use: wait until other tests are done, then try again");
    }

    fn connect(&self) -> Result<(), String> {
        let (name, net) = (&self.name, self.net);
        let router = format!("{name}r");
        let forward = ["netns", "exec", &router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"];
        ip(&format!("netns add {router}"))?;
        ip_with(&forward)?;
        let mut steps = vec![
            format!("-n {router} link set lo up"),
            format!("link add {name}m type veth peer name main0 netns {router}"),
            format!("addr add 10.213.{net}.1/30 dev {name}m"),
            format!("link set {name}m up"),
            format!("-n {router} addr add 10.213.{net}.2/30 dev main0"),
            format!("-n {router} link set main0 up"),
        ];
        for island in 0..self.count {
            let (space, cable) = (self.namespace(island), format!("isle{island}"));
            let (here, there) = (self.address(Place::Island(island)), format!("10.213.{net}.{}", 4 * (island + 1) + 2));
            steps.extend([
                format!("netns add {space}"),
                format!("-n {space} link set lo up"),
                format!("-n {router} link add {cable} type veth peer name eth0 netns {space}"),
                format!("-n {router} addr add {there}/30 dev {cable}"),
                format!("-n {router} link set {cable} up"),
                format!("-n {space} addr add {here}/30 dev eth0"),
                format!("-n {space} link set eth0 up"),
                format!("-n {space} route add default via {there}"),
                format!("route add 10.213.{net}.{}/30 via 10.213.{net}.2", 4 * (island + 1)),
            ]);
        }
        steps.iter().try_for_each(|step| ip(step))
    }

    pub(crate) fn namespace(&self, island: usize) -> String {
        format!("{}i{island}", self.name)
    }

    pub(crate) fn address(&self, place: Place) -> String {
        let last = match place {
            Place::Mainland => 1,
            Place::Island(island) => 4 * (island + 1) + 1,
        };
        format!("10.213.{}.{last}", self.net)
    }

    /// Nothing arrives at `to` any more that `from` sends.
    pub(crate) fn mute(&self, from: Place, to: Place) {
        let rule = self.rule(from, to);
        // Once, however often it is said.
        drop(ip(&format!("-n {}r rule del {rule}", self.name)));
        ip(&format!("-n {}r rule add {rule}", self.name)).expect("nothing arrives any more");
    }

    fn rule(&self, from: Place, to: Place) -> String {
        format!("from {} to {} pref 100 blackhole", self.address(from), self.address(to))
    }

    /// In both directions.
    pub(crate) fn cut(&self, one: Place, other: Place) {
        self.mute(one, other);
        self.mute(other, one);
    }

    /// Cuts every one of some islands off from every one of others.
    pub(crate) fn part(&self, some: &[usize], others: &[usize]) {
        for one in some {
            for other in others {
                self.cut(Place::Island(*one), Place::Island(*other));
            }
        }
    }

    /// All reach all.
    pub(crate) fn heal(&self) {
        while ip(&format!("-n {}r rule del pref 100", self.name)).is_ok() {}
    }

    /// Those whom `islanders` names each go to their island, the others stay on the mainland. The configurations were
    /// written for loopback; a port belongs to one process, so each address can be told from the others.
    pub(crate) fn settle(&self, cluster: &mut Cluster, islanders: &[(&str, usize)]) {
        let mut moves = Vec::new();
        let token = cluster.dir.path().join("metrics.token");
        write_secret(&token, METRICS_TOKEN);
        for process in cluster.nodes.iter_mut().chain(&mut cluster.servers) {
            let island = islanders.iter().find(|(name, _)| process.name == *name).map(|(_, island)| *island);
            process.namespace = island.map(|island| self.namespace(island));
            let address = self.address(island.map_or(Place::Mainland, Place::Island));
            for port in &process.ports {
                moves.push((port.address(), port.address().replace("127.0.0.1", &address)));
            }
            process.url = process.url.replace("127.0.0.1", &address);
            if process.serves_users() {
                process.set_environment("RINGMASTER__INSECURE", "true".to_owned());
            }
            // Nobody who has no token reads them on a network.
            process.set_environment("RINGMASTER__METRICS__TOKEN_FILE", token.display().to_string());
        }
        for process in cluster.nodes.iter().chain(&cluster.servers) {
            let text = std::fs::read_to_string(&process.config).expect("its configuration");
            let text = moves.iter().fold(text, |text, (old, new)| text.replace(old, new));
            std::fs::write(&process.config, text).expect("its configuration is written");
        }
    }
}

impl Islands {
    fn sink(&self, count: usize) {
        // A cable goes with its other end, and a route with its cable.
        drop(ip(&format!("link del {}m", self.name)));
        drop(ip(&format!("netns del {}r", self.name)));
        for island in 0..count {
            drop(ip(&format!("netns del {}", self.namespace(island))));
        }
    }
}

impl Drop for Islands {
    fn drop(&mut self) {
        self.sink(self.count);
    }
}

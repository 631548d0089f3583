//! Every configuration key, once: what it takes, its default, and what it means. Loading, error messages and the
//! reference in the README all come from these two tables, so none of them can lag behind another.

mod edge;

use std::fmt::Write as _;

use edge::{INSECURE, METRICS_LISTEN, METRICS_TOKEN_FILE, TLS_CERTIFICATE, TLS_KEY, TRUSTED_PROXIES};

/// The prefix of environment variables that set keys. The double underscore keeps them apart from `RINGMASTER_URL`
/// and the like, which belong to the command line client.
pub const ENV_PREFIX: &str = "RINGMASTER__";

/// What a key takes, which decides how the text of an environment variable or a flag is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Integer,
    Boolean,
    Text,
    Path,
    /// `ip:port` to bind.
    Address,
    /// `http://host:port` or `https://host:port` for others to call.
    Url,
    Urls,
    Duration,
    Size,
    Choice(&'static [&'static str]),
    Members,
    /// Addresses, and networks by their prefix.
    Networks,
}

impl Takes {
    /// How a message says what is expected.
    pub fn expected(self) -> String {
        match self {
            Self::Integer => "a whole number".into(),
            Self::Boolean => "true or false".into(),
            Self::Text => "text in quotes".into(),
            Self::Path => "a path in quotes".into(),
            Self::Address => "an ip address with a port, such as \"127.0.0.1:3041\"".into(),
            Self::Url => "a url, such as \"http://10.0.0.1:3041\"".into(),
            Self::Urls => "a list of urls, such as [\"http://10.0.0.1:3041\", \"http://10.0.0.2:3041\"]".into(),
            Self::Duration => "a duration in quotes, such as \"30s\", \"15m\" or \"100ms\"".into(),
            Self::Size => "a size, such as \"1GiB\", \"500MB\" or a number of bytes".into(),
            Self::Networks => "a list of addresses and networks, such as [\"10.0.0.5\", \"10.1.0.0/16\"]".into(),
            Self::Choice(choices) => {
                choices.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join(" or ")
            }
            Self::Members => {
                "a list of members, such as [{id=1, url=\"http://10.0.0.1:3041\", peer=\"https://10.0.0.1:4041\"}]"
                    .into()
            }
        }
    }

    fn word(self) -> String {
        match self {
            Self::Integer => "number".into(),
            Self::Boolean => "boolean".into(),
            Self::Text => "text".into(),
            Self::Path => "path".into(),
            Self::Address => "ip:port".into(),
            Self::Url => "url".into(),
            Self::Urls => "list of urls".into(),
            Self::Duration => "duration".into(),
            Self::Size => "size".into(),
            Self::Choice(choices) => choices.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(" or "),
            Self::Members => "list of `{id, url, peer}`".into(),
            Self::Networks => "list of addresses and networks".into(),
        }
    }
}

/// Where a key's value comes from when nobody gives one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// Loading fails without it.
    Required,
    /// There is none; the column of the reference says what that means.
    Absent(&'static str),
    /// As it would be written in an environment variable.
    Value(&'static str),
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// With dots, as in `replication.interval`.
    pub name: &'static str,
    pub takes: Takes,
    pub default: DefaultValue,
    pub about: &'static str,
    /// A switch for tests, left out of the reference and of suggestions.
    pub hidden: bool,
}

impl Key {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.to_uppercase().replace('.', "__"))
    }
}

/// Which kind of process a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Directory,
    FileServer,
}

impl Role {
    pub const fn keys(self) -> &'static [Key] {
        match self {
            Self::Directory => DIRECTORY,
            Self::FileServer => FILE_SERVER,
        }
    }

    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().iter().find(|key| key.name == name)
    }

    pub const fn other(self) -> Self {
        match self {
            Self::Directory => Self::FileServer,
            Self::FileServer => Self::Directory,
        }
    }

    /// As in "the configuration of a file server".
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Directory => "directory node",
            Self::FileServer => "file server",
        }
    }

    /// The subcommand of `ringmaster` that runs it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::FileServer => "fileserver",
        }
    }

    /// The section that no file of the other role has.
    pub(super) const fn section(self) -> &'static str {
        match self {
            Self::Directory => "node",
            Self::FileServer => "server",
        }
    }
}

const fn key(name: &'static str, takes: Takes, default: DefaultValue, about: &'static str) -> Key {
    Key { name, takes, default, about, hidden: false }
}

use DefaultValue::{Absent, Required, Value};
use Takes::{Address, Boolean, Choice, Duration, Integer, Members, Path, Size, Text, Url, Urls};

const LOG_FORMAT: Key =
    key("log.format", Choice(&["text", "json"]), Value("text"), "how log lines look; they go to standard error");
const LOG_LEVEL: Key = key(
    "log.level",
    Text,
    Value("info"),
    "which log lines are written: a level, or a filter such as `info,ringmaster::consensus=debug`; the variable `RINGMASTER_LOG` overrides it",
);
const SECRET_FILE: Key = key(
    "cluster.secret_file",
    Path,
    Required,
    "file with the 64 hexadecimal digits that the directory nodes of a cluster share; no other machine needs it",
);

const CONNECTIONS_HEAD: Key = key(
    "connections.head",
    Duration,
    Value("10s"),
    "how long the line and the headers of a request may take; a new connection has as long for its first one",
);
const CONNECTIONS_IDLE: Key =
    key("connections.idle", Duration, Value("60s"), "how long a connection is kept between two requests");
const CONNECTIONS_SLOWEST: Key = key(
    "connections.slowest",
    Size,
    Value("1KiB"),
    "bytes per second at which the body of a caller who has not authenticated must come",
);
const CONNECTIONS_STALL: Key = key(
    "connections.stall",
    Duration,
    Value("30s"),
    "how long a caller who has not authenticated may leave an answer unread",
);

const TEST_PLANT: Key = Key {
    hidden: true,
    ..key("test.plant", Text, Value(""), "for tests: a bug that this process has, see domain::plant")
};

const DIRECTORY: &[Key] = &[
    INSECURE,
    TRUSTED_PROXIES,
    key("node.id", Integer, Required, "number of this node, from 1; never given to another node again"),
    key("node.data_dir", Path, Required, "where the Raft log and the index are kept"),
    key("node.listen", Address, Required, "address for users"),
    key("node.advertise", Url, Absent("`http://` and `node.listen`"), "url at which users reach this node"),
    key(
        "node.peer_listen",
        Address,
        Required,
        "address for the other directory nodes and for file servers; always TLS",
    ),
    key("node.peer_advertise", Url, Absent("`https://` and `node.peer_listen`"), "url at which they reach this node"),
    key(
        "cluster.name",
        Text,
        Value("ringmaster"),
        "a name for people; the cluster is identified by an id made at its first start",
    ),
    SECRET_FILE,
    key("cluster.members", Members, Required, "the first members, the same list in every node's file"),
    key("cluster.join", Boolean, Value("false"), "wait to be added to a running cluster instead of forming one"),
    key("replication.interval", Duration, Value("30s"), "how often the leader looks for missing copies"),
    key(
        "replication.copies",
        Integer,
        Value("2"),
        "copies of each file, 1 to 5; read once, when the cluster is formed",
    ),
    key(
        "replication.streams",
        Integer,
        Value("2"),
        "copyings that one file server takes part in at once, for repairs and moves",
    ),
    key("replication.bandwidth", Size, Value("24MiB"), "bytes per second that repairs and moves may take, in all"),
    key(
        "garbage.linger",
        Duration,
        Value("15m"),
        "how long a dropped copy stays on its disk, so that running reads finish; read once, when the cluster is formed",
    ),
    key(
        "garbage.grace",
        Duration,
        Value("1h"),
        "how old bytes that no file names must be before they count as left over; read once, when the cluster is formed",
    ),
    key(
        "garbage.inventory",
        Duration,
        Value("30m"),
        "how often each file server tells everything that it holds; they learn it when they register",
    ),
    key(
        "detection.heartbeat",
        Duration,
        Value("1s"),
        "how often file servers report; they learn it when they register",
    ),
    key(
        "detection.dead_after",
        Duration,
        Value("5s"),
        "how long a file server may be silent before the leader asks the other nodes about it",
    ),
    key(
        "http.write_routing",
        Choice(&["redirect", "forward"]),
        Value("redirect"),
        "what a follower does with an upload that says `Expect: 100-continue`: send the client to the leader, or take the bytes itself, as it does with all others",
    ),
    key(
        "connections.max",
        Integer,
        Absent("an eighth of the limit of open files, from 64 to 16384"),
        "the most connections at `node.listen`; a half at most of callers who have not authenticated, a quarter of these from one address, a half of one user",
    ),
    CONNECTIONS_HEAD,
    CONNECTIONS_IDLE,
    CONNECTIONS_SLOWEST,
    CONNECTIONS_STALL,
    key("connections.pause", Duration, Value("10m"), "how long a user may pause in sending a file, and in reading one"),
    key(
        "connections.unfinished",
        Size,
        Value("64MiB"),
        "bytes that requests which are not whole yet may hold in all, files in transfer aside",
    ),
    key(
        "logins.account_failures",
        Integer,
        Value("10"),
        "wrong passwords of one account before logins of it have to wait, each time twice as long, at addresses from which nobody has logged in as it for 30 days",
    ),
    key(
        "logins.address_failures",
        Integer,
        Value("50"),
        "the same of one address (of IPv6, one /64), whatever the account",
    ),
    key(
        "logins.longest_wait",
        Duration,
        Value("15m"),
        "the longest such wait; failures are forgotten after that long without one",
    ),
    key(
        "logins.address_signups",
        Integer,
        Value("20"),
        "accounts that one address (of IPv6, one /64) may ask a node for within an hour, where anybody may make one",
    ),
    key(
        "shedding.reads",
        Integer,
        Value("1024"),
        "requests for a few rows, or for a file that a node has in hand at once; more are answered with 503 at once",
    ),
    key(
        "shedding.writes",
        Integer,
        Value("512"),
        "changes without a file's bytes that a node has in hand at once; more are answered with 503 at once",
    ),
    key(
        "shedding.uploads",
        Integer,
        Value("512"),
        "files on their way in that a node has in hand at once; more are answered with 503 at once",
    ),
    key(
        "shedding.listings",
        Integer,
        Value("64"),
        "requests for pages of many rows that a node has in hand at once; more are answered with 503 at once",
    ),
    key(
        "shedding.logins",
        Integer,
        Value("64"),
        "logins and signups that a node has in hand at once; more are answered with 503 at once",
    ),
    key("limits.max_file_bytes", Size, Value("5TiB"), "the largest file that is taken"),
    key(
        "storage.cache",
        Size,
        Value("160MiB"),
        "memory for blocks of the index and the log that are read; give it a part of what the machine has, as with a hundred million files the index has some 70 GB",
    ),
    key(
        "storage.reserve",
        Size,
        Absent("5 % of the disk, from `1GiB` to `16GiB`"),
        "what stays free on the disk of `node.data_dir`: with less on most of the nodes only deletions are taken",
    ),
    TLS_CERTIFICATE,
    TLS_KEY,
    METRICS_LISTEN,
    METRICS_TOKEN_FILE,
    LOG_FORMAT,
    LOG_LEVEL,
    key("raft.heartbeat", Duration, Value("100ms"), "how often the leader shows that it is there"),
    key(
        "raft.election_min",
        Duration,
        Value("300ms"),
        "shortest silence after which a node stands for election; three times as long as a sync takes on the slower half of the disks, or nobody is elected",
    ),
    key("raft.election_max", Duration, Value("500ms"), "longest such silence; each node draws one in between"),
    key("raft.snapshot_after", Integer, Value("50000"), "log entries between two snapshots"),
    key(
        "raft.snapshot_after_bytes",
        Size,
        Value("256MiB"),
        "bytes of log entries between two snapshots, if that is sooner",
    ),
    Key {
        hidden: true,
        ..key("raft.keep_entries", Integer, Value("5000"), "for tests: log entries before the last snapshot that stay")
    },
    Key {
        hidden: true,
        ..key("raft.snapshot_piece", Size, Value("1MiB"), "for tests: bytes of a snapshot that one request carries")
    },
    Key { hidden: true, ..key("raft.sync_delay", Duration, Value("0s"), "for tests: added to every sync of the log") },
    TEST_PLANT,
];

const FILE_SERVER: &[Key] = &[
    key("server.data_dir", Path, Required, "where the bytes are kept"),
    key("server.listen", Address, Required, "address for directory nodes and other file servers"),
    key(
        "server.advertise",
        Url,
        Absent("`https://` and `server.listen`"),
        "url at which directory nodes and other file servers reach this one",
    ),
    key("server.zone", Text, Value(""), "rack, room or data centre, for people and for placement"),
    key("server.capacity", Size, Absent("the size of the disk"), "the most that it stores"),
    key(
        "cluster.directory",
        Urls,
        Required,
        "addresses of the directory nodes for other members, as in their `node.peer_advertise`",
    ),
    key(
        "cluster.join_token_file",
        Path,
        Absent("no token: the cluster knows this server already"),
        "file with the join token of a server that is new (`ringmaster join-token`); it is used up by the first that comes with it",
    ),
    key(
        "scrub.interval",
        Duration,
        Value("7d"),
        "in what time everything stored is read once and checked, so that damage is found in what nobody reads; `0s` for never",
    ),
    key("scrub.max_rate", Size, Value("32MiB"), "the most bytes per second that are read for it"),
    key(
        "connections.max",
        Integer,
        Absent("a quarter of the limit of open files, from 64 to 8192"),
        "the most connections; a half at most of callers who have not authenticated",
    ),
    CONNECTIONS_HEAD,
    CONNECTIONS_IDLE,
    CONNECTIONS_SLOWEST,
    CONNECTIONS_STALL,
    key(
        "connections.pause",
        Duration,
        Value("15m"),
        "how long a directory node or a file server may pause in sending a blob, and in reading one; longer than `connections.pause` of the directory nodes",
    ),
    METRICS_LISTEN,
    METRICS_TOKEN_FILE,
    LOG_FORMAT,
    LOG_LEVEL,
    TEST_PLANT,
];

/// The configuration reference, as Markdown tables. The README holds exactly this text.
pub fn reference() -> String {
    let mut text = String::new();
    for role in [Role::Directory, Role::FileServer] {
        let noun = role.noun();
        let title = format!("{}{}", noun[..1].to_uppercase(), &noun[1..]);
        let _ = write!(
            text,
            "### {title} (`ringmaster {}`)\n\n| key | takes | default | environment | is |\n|---|---|---|---|---|\n",
            role.command()
        );
        for key in role.keys().iter().filter(|key| !key.hidden) {
            let default = match key.default {
                Required => "**required**".to_owned(),
                Absent(means) => means.to_owned(),
                Value("") => "`\"\"`".to_owned(),
                Value(value) => format!("`{value}`"),
            };
            let (name, takes, variable) = (key.name, key.takes.word(), key.variable());
            let _ = writeln!(text, "| `{name}` | {takes} | {default} | `{variable}` | {} |", key.about);
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

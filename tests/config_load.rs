//! What a person sees who gets a configuration wrong, and that the sources are ranked as promised.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ringmaster::config::{DirectoryConfig, FileServerConfig, LogFormat, WriteRouting};
use ringmaster::domain::plant::Plant;

const DIRECTORY: &str = r#"
[node]
id = 1
data_dir = "data/directory-1"
listen = "127.0.0.1:3041"
advertise = "http://127.0.0.1:3041"
peer_listen = "127.0.0.1:4041"
peer_advertise = "https://127.0.0.1:4041"
[cluster]
name = "local"
secret_file = "cluster.secret"
[[cluster.members]]
id = 1
url = "http://127.0.0.1:3041"
peer = "https://127.0.0.1:4041"
[[cluster.members]]
id = 2
url = "http://127.0.0.1:3042/"
peer = "https://127.0.0.1:4042"
[replication]
interval = "30s"
copies = 2
[garbage]
linger = "15m"
grace = "1h"
[detection]
heartbeat = "1s"
dead_after = "5s"
[http]
write_routing = "redirect"
"#;

const FILE_SERVER: &str = r#"
[server]
data_dir = "data/fileserver-1"
listen = "127.0.0.1:3031"
advertise = "https://127.0.0.1:3031"
zone = "a"
[cluster]
directory = ["https://127.0.0.1:4041", "https://127.0.0.1:4042"]
join_token_file = "fileserver-1.token"
"#;

struct File {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("node.toml");
        std::fs::write(&path, text).expect("written");
        Self { dir, path }
    }

    fn directory(&self, env: &[(&str, &str)], flags: &[&str]) -> Result<DirectoryConfig, String> {
        DirectoryConfig::load(&self.path, owned(env), &flags.iter().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    }

    fn file_server(&self, env: &[(&str, &str)], flags: &[&str]) -> Result<FileServerConfig, String> {
        FileServerConfig::load(&self.path, owned(env), &flags.iter().map(ToString::to_string).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    }
}

fn owned(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The message of a directory node's configuration in which `from` became `to`.
#[track_caller]
fn refused(from: &str, to: &str) -> String {
    assert!(DIRECTORY.contains(from), "the test no longer fits its file: {from}");
    File::new(&DIRECTORY.replacen(from, to, 1)).directory(&[], &[]).expect_err("refused")
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "expected {part:?} in:\n{message}");
    }
}

#[test]
fn the_files_of_the_design_load() {
    let file = File::new(DIRECTORY);
    let config = file.directory(&[], &[]).expect("valid");
    assert_eq!(config.node.id, 1);
    assert_eq!(config.node.data_dir, file.dir.path().join("data/directory-1"), "relative to the file");
    assert_eq!(config.cluster.secret_file, file.dir.path().join("cluster.secret"));
    assert_eq!(config.cluster.members[1].url.as_str(), "http://127.0.0.1:3042", "without the slash");
    assert_eq!(config.replication.interval, Duration::from_secs(30));
    assert_eq!(config.http.write_routing, WriteRouting::Redirect);
    assert_eq!(config.limits.max_file_bytes, 5 << 40);
    assert_eq!(config.raft.sync_delay, Duration::ZERO);
    assert_eq!(config.bootstrap_policy(), ringmaster::domain::terms::Policy::default());

    let file = File::new(FILE_SERVER);
    let config = file.file_server(&[], &[]).expect("valid");
    assert_eq!(config.server.data_dir, file.dir.path().join("data/fileserver-1"));
    assert_eq!(config.server.capacity, None);
    assert_eq!(config.cluster.directory.len(), 2);
    assert_eq!(config.cluster.join_token_file, Some(file.dir.path().join("fileserver-1.token")));
}

#[test]
fn what_is_advertised_follows_what_is_bound() {
    let without: String =
        DIRECTORY.lines().filter(|line| !line.contains("advertise")).map(|l| format!("{l}\n")).collect();
    let config = File::new(&without).directory(&[], &[]).expect("valid");
    assert_eq!(config.node.advertise().as_str(), "http://127.0.0.1:3041");
    assert_eq!(config.node.peer_advertise().as_str(), "https://127.0.0.1:4041");
}

#[test]
fn defaults_file_environment_flags() {
    let text = DIRECTORY.replace("interval = \"30s\"\n", "");
    let file = File::new(&text);
    let interval = |env: &[(&str, &str)], flags: &[&str]| {
        file.directory(env, flags).expect("valid").replication.interval.as_secs()
    };
    assert_eq!(interval(&[], &[]), 30);
    assert_eq!(interval(&[("RINGMASTER__REPLICATION__INTERVAL", "5s")], &[]), 5);
    assert_eq!(interval(&[("RINGMASTER__REPLICATION__INTERVAL", "5s")], &["replication.interval=7s"]), 7);

    let file = File::new(DIRECTORY);
    let config = file
        .directory(
            &[
                ("RINGMASTER_URL", "of the client, not a key"),
                ("RINGMASTER__LIMITS__MAX_FILE_BYTES", "1GiB"),
                ("RINGMASTER__LOG__FORMAT", "json"),
                ("RINGMASTER__NODE__DATA_DIR", "elsewhere"),
                ("RINGMASTER__RAFT__SYNC_DELAY", "2ms"),
                ("RINGMASTER__CLUSTER__NAME", "42"),
            ],
            &[
                "http.write_routing=forward",
                "cluster.members=[{id=1, url=\"http://127.0.0.1:3041\", peer=\"http://127.0.0.1:4041\"}]",
            ],
        )
        .expect("valid");
    assert_eq!(config.limits.max_file_bytes, 1 << 30);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.node.data_dir, Path::new("elsewhere"), "relative to where the process runs");
    assert_eq!(config.raft.sync_delay, Duration::from_millis(2));
    assert_eq!(config.cluster.name, "42", "text stays text");
    assert_eq!(config.http.write_routing, WriteRouting::Forward);
    assert_eq!(config.cluster.members.len(), 1);

    let file = File::new(FILE_SERVER);
    let config = file
        .file_server(&[("RINGMASTER__CLUSTER__DIRECTORY", "http://a:1, http://b:1")], &["server.capacity=10GB"])
        .expect("valid");
    assert_eq!(config.cluster.directory[1].as_str(), "https://b:1", "always TLS");
    assert_eq!(config.server.capacity, Some(10_000_000_000));
}

#[test]
fn a_bug_for_tests_has_to_be_known_by_name() {
    let (directory, server) = (File::new(DIRECTORY), File::new(FILE_SERVER));
    assert_eq!(directory.directory(&[], &[]).expect("valid").test.plant, None);
    for bug in Plant::ALL {
        let env = [("RINGMASTER__TEST__PLANT", bug.name())];
        assert_eq!(directory.directory(&env, &[]).expect("valid").test.plant, Some(bug));
        assert_eq!(server.file_server(&env, &[]).expect("valid").test.plant, Some(bug));
    }
    let message = server.file_server(&[], &["test.plant=no_sleep"]).expect_err("refused");
    says(&message, &["`test.plant`", "\"no_sleep\"", "no_log_sync"]);
}

#[test]
fn unknown_keys_are_named_with_their_source_and_the_nearest_known_one() {
    let file = File::new(&DIRECTORY.replace("interval =", "intervall ="));
    let message = file.directory(&[], &[]).expect_err("refused");
    says(
        &message,
        &["`replication.intervall`", &file.path.display().to_string(), "did you mean `replication.interval`?"],
    );

    let file = File::new(DIRECTORY);
    let message = file.directory(&[("RINGMASTER__REPLICATION__COPYS", "3")], &[]).expect_err("refused");
    says(&message, &["`replication.copys`", "RINGMASTER__REPLICATION__COPYS", "did you mean `replication.copies`?"]);
    let message = file.directory(&[], &["detection.deadafter=3s"]).expect_err("refused");
    says(&message, &["the flag `detection.deadafter=3s`", "did you mean `detection.dead_after`?"]);
    says(&file.directory(&[], &["copies"]).expect_err("refused"), &["`copies`", "key=value"]);

    says(&refused("[replication]", "[repl]"), &["`repl.copies`", "did you mean `replication.copies`?"]);
    says(&refused("[node]\nid", "interval = \"30s\"\n[node]\nid"), &["did you mean `replication.interval`?"]);
    says(&refused("[http]", "[zzz]\nqqq = 1\n[http]"), &["`zzz.qqq`", "the sections are [node], [cluster]"]);
    says(&refused("[http]", "[empty]\n[http]"), &["`empty`"]);
    says(&refused("[http]\n", "http = 3\n"), &["`detection.http`"]);
    says(
        &refused("peer = \"https://127.0.0.1:4041\"", "pear = \"http://127.0.0.1:4041\""),
        &["`cluster.members", "pear`", "did you mean `peer`?"],
    );
}

#[test]
fn every_unknown_key_is_told_at_once() {
    let file = File::new(&DIRECTORY.replace("copies =", "copis =").replace("grace =", "grce ="));
    let error = DirectoryConfig::load(&file.path, Vec::new(), &[]).expect_err("refused");
    assert_eq!(error.lines().len(), 2, "{error}");
}

#[test]
fn the_other_roles_file_says_so() {
    let message = File::new(FILE_SERVER).directory(&[], &[]).expect_err("refused");
    says(&message, &["is the configuration of a file server", "`ringmaster fileserver --config"]);
    let message = File::new(DIRECTORY).file_server(&[], &[]).expect_err("refused");
    says(&message, &["is the configuration of a directory node", "`ringmaster directory --config"]);
    let message = File::new(FILE_SERVER).file_server(&[("RINGMASTER__NODE__ID", "1")], &[]).expect_err("refused");
    says(&message, &["`node.id`", "RINGMASTER__NODE__ID", "is a key of a directory node"]);
}

#[test]
fn a_file_that_cannot_be_read_or_parsed() {
    let missing = Path::new("/nonexistent/node.toml");
    let message = DirectoryConfig::load(missing, Vec::new(), &[]).expect_err("refused").to_string();
    says(&message, &["cannot read", "/nonexistent/node.toml", "--config"]);
    says(&File::new("[node").directory(&[], &[]).expect_err("refused"), &["not valid TOML", "line 1"]);
}

#[test]
fn missing_keys_say_where_to_put_them() {
    let message = refused("secret_file = \"cluster.secret\"\n", "");
    says(&message, &["`cluster.secret_file` is missing", "under [cluster]", "RINGMASTER__CLUSTER__SECRET_FILE"]);
    says(&refused("peer = \"https://127.0.0.1:4041\"\n", ""), &["cluster.members", "peer`", "is missing"]);
    says(&File::new("").file_server(&[], &[]).expect_err("refused"), &["`server.data_dir`", "`cluster.directory`"]);
}

#[test]
fn values_of_the_wrong_type_say_what_is_expected() {
    says(&refused("id = 1", "id = \"one\""), &["`node.id`", "a whole number"]);
    says(&refused("id = 1", "id = -1"), &["`node.id`", "a whole number"]);
    says(&refused("\"30s\"", "30"), &["`replication.interval`", "a duration", "\"30s\""]);
    says(&refused("\"30s\"", "\"soon\""), &["`replication.interval`", "a duration"]);
    says(&refused("\"127.0.0.1:3041\"", "\"127.0.0.1\""), &["`node.listen`", "an ip address with a port"]);
    says(&refused("\"127.0.0.1:3041\"", "\"127.0.0.1:99999\""), &["`node.listen`", "an ip address with a port"]);
    says(&refused("\"http://127.0.0.1:3041\"", "\"127.0.0.1:3041\""), &["`node.advertise`", "http://HOST:PORT"]);
    says(&refused("\"http://127.0.0.1:3041\"", "\"ftp://127.0.0.1:3041\""), &["http:// or https://"]);
    says(&refused("\"redirect\"", "\"sideways\""), &["`http.write_routing`", "\"redirect\" or \"forward\""]);
    says(&refused("\"data/directory-1\"", "\"\""), &["`node.data_dir`", "empty"]);
    says(&refused("[http]", "[limits]\nmax_file_bytes = \"1 parsec\"\n[http]"), &["`limits.max_file_bytes`", "1GiB"]);

    let file = File::new(DIRECTORY);
    let message = file.directory(&[("RINGMASTER__NODE__ID", "one")], &[]).expect_err("refused");
    says(&message, &["RINGMASTER__NODE__ID", "\"one\"", "a whole number"]);
    let message = file.directory(&[("RINGMASTER__CLUSTER__MEMBERS", "all")], &[]).expect_err("refused");
    says(&message, &["RINGMASTER__CLUSTER__MEMBERS", "a list of members"]);
    let message = file.directory(&[], &["replication.interval=5"]).expect_err("refused");
    says(&message, &["the flag `replication.interval=5`", "a duration"]);
}

#[test]
fn values_that_do_not_go_together() {
    says(&refused("id = 1", "id = 0"), &["`node.id` is 0"]);
    says(&refused("id = 1", "id = 7"), &["`node.id` is 7", "lists 1, 2", "`join = true`"]);
    says(
        &refused("advertise = \"http://127.0.0.1:3041\"", "advertise = \"http://127.0.0.1:9\""),
        &["node 1 the url", "`node.advertise`"],
    );
    says(
        &refused("peer_advertise = \"https://127.0.0.1:4041\"", "peer_advertise = \"https://127.0.0.1:9\""),
        &["node 1 the peer", "`node.peer_advertise`"],
    );
    says(&refused("127.0.0.1:3041\"", "127.0.0.1:0\""), &["`node.listen`", "port 0"]);
    says(&refused("peer_listen = \"127.0.0.1:4041\"", "peer_listen = \"127.0.0.1:3041\""), &["its own port"]);
    says(&refused("id = 2", "id = 1"), &["id 1 twice"]);
    says(&refused("https://127.0.0.1:4042", "https://127.0.0.1:3042"), &["127.0.0.1:3042 twice"]);
    says(&refused("name = \"local\"", "name = \"local\"\njoin = true"), &["`cluster.join`", "list only the members"]);
    says(&refused("name = \"local\"", "name = \"a b\""), &["`cluster.name`", "letters"]);
    says(&refused("copies = 2", "copies = 6"), &["`replication.copies` is 6", "1 to 5"]);
    says(&refused("copies = 2", "copies = 0"), &["`replication.copies` is 0"]);
    says(&refused("dead_after = \"5s\"", "dead_after = \"1s\""), &["`detection.dead_after` is 1s", "heartbeat"]);
    says(&refused("interval = \"30s\"", "interval = \"0s\""), &["`replication.interval`", "between"]);
    says(&refused("[http]", "[raft]\nelection_min = \"100ms\"\n[http]"), &["`raft.election_min`"]);
    says(&refused("[http]", "[raft]\nelection_max = \"300ms\"\n[http]"), &["`raft.election_max`"]);
    says(&refused("[http]", "[limits]\nmax_file_bytes = 0\n[http]"), &["`limits.max_file_bytes`"]);
    says(&refused("[http]", "[log]\nlevel = \"=loud=\"\n[http]"), &["`log.level`"]);

    let all: String = DIRECTORY
        .replacen("127.0.0.1:3041\"", "0.0.0.0:3041\"", 1)
        .lines()
        .filter(|line| !line.starts_with("advertise"))
        .map(|line| format!("{line}\n"))
        .collect();
    says(
        &File::new(&all).directory(&[], &[]).expect_err("refused"),
        &["`node.advertise`", "no other machine can call"],
    );

    let file = File::new(FILE_SERVER);
    let refused = |flag: &str| file.file_server(&[], &[flag]).expect_err("refused");
    says(&refused("cluster.directory="), &["`cluster.directory` is empty"]);
    says(&refused("cluster.directory=http://a:1,http://a:1/"), &["lists https://a:1 twice"]);
    says(&refused("cluster.directory=http://127.0.0.1:3031"), &["this file server itself"]);
    says(&refused("server.capacity=5"), &["`server.capacity`", "1MiB"]);
    says(&refused("server.zone=a b"), &["`server.zone`"]);
    says(&refused("server.listen=127.0.0.1:0"), &["`server.listen`", "port 0"]);
}

#[test]
fn a_node_may_join_a_cluster_that_does_not_list_it() {
    let text = DIRECTORY.replace("id = 1\ndata_dir", "id = 7\ndata_dir").replace("name = ", "join = true\nname = ");
    let config =
        File::new(&text.replace("127.0.0.1:3041\"\nadv", "127.0.0.1:3047\"\nadv")).directory(&[], &[]).expect("valid");
    assert!(config.cluster.join);
}

#[test]
fn metrics_are_for_this_machine_unless_there_is_a_token() {
    let (directory, server) = (File::new(DIRECTORY), File::new(FILE_SERVER));
    let listen = |flags: &[&str]| {
        let directory = directory.directory(&[], flags).map(|config| config.metrics_listen().to_string());
        (directory, server.file_server(&[], flags).map(|config| config.metrics_listen().to_string()))
    };
    assert_eq!(listen(&[]), (Ok("127.0.0.1:3141".into()), Ok("127.0.0.1:3131".into())));
    assert_eq!(listen(&["node.listen=127.0.0.1:65500"]).0.expect("a port below"), "127.0.0.1:65400");
    assert_eq!(listen(&["node.peer_listen=127.0.0.1:3141"]).0.expect("another port"), "127.0.0.1:3241");
    let own = ["metrics.listen=[::1]:9000"];
    assert_eq!(listen(&own), (Ok("[::1]:9000".into()), Ok("[::1]:9000".into())));
    for (address, says) in [
        ("0.0.0.0:9000", "set `metrics.token_file`"),
        ("10.0.0.1:9000", "or `metrics.listen` to 127.0.0.1:9000"),
        ("[::]:9000", "set `metrics.token_file`"),
        ("127.0.0.1:0", "port 0"),
    ] {
        let flag = format!("metrics.listen={address}");
        let (directory, server) = listen(&[&flag]);
        for said in [directory.expect_err(address), server.expect_err(address)] {
            assert!(said.contains(says) && said.contains("metrics.listen"), "{said}");
        }
    }
    let (directory, server) = listen(&["metrics.listen=10.0.0.1:9000", "metrics.token_file=token"]);
    assert_eq!((directory.as_deref(), server.as_deref()), (Ok("10.0.0.1:9000"), Ok("10.0.0.1:9000")));
    let said = listen(&["metrics.listen=127.0.0.1:4041"]).0.expect_err("it is taken");
    assert!(said.contains("`metrics.listen` and `node.peer_listen` are both 127.0.0.1:4041"), "{said}");
}

#[test]
fn users_of_other_machines_are_served_over_tls_unless_somebody_says_otherwise() {
    let directory = File::new(DIRECTORY);
    let open = ["node.listen=10.0.0.1:3041"];
    let with = |more: &[&str]| directory.directory(&[], &[&open[..], more].concat());
    let pair = ["tls.certificate=c.pem", "tls.key=k.pem"];
    let said = with(&[]).expect_err("in clear");
    assert!(said.contains("Set `tls.certificate` and `tls.key`") && said.contains("`insecure = true`"), "{said}");
    assert!(with(&["insecure=true"]).expect("it is meant").tls().is_none());
    assert!(directory.directory(&[("RINGMASTER__INSECURE", "true")], &open).is_ok());
    for half in pair {
        let said = with(&[half]).expect_err("one of two");
        assert!(said.contains("set both, or neither"), "{said}");
    }
    let said = with(&pair).expect_err("clients would be told http");
    assert!(said.contains("`node.advertise` is http://127.0.0.1:3041, but `tls.certificate` is set"), "{said}");
    let text = DIRECTORY
        .replace("http://127.0.0.1:3041", "https://files.example")
        .replace("[node]", "insecure = false\n[node]");
    let config = File::new(&text).directory(&[], &[&open[..], &pair].concat()).expect("it is right");
    assert_eq!(config.node.advertise().as_str(), "https://files.example:443");
    let (certificate, key) = config.tls().expect("both are there");
    assert_eq!((certificate, key), (Path::new("c.pem"), Path::new("k.pem")));
    // Nobody says what clients are told: it follows.
    let text = DIRECTORY
        .replace("advertise = \"http://127.0.0.1:3041\"\n", "")
        .replace("http://127.0.0.1:3041", "https://127.0.0.1:3041");
    let config = File::new(&text).directory(&[], &pair).expect("it is right");
    assert_eq!(config.node.advertise().as_str(), "https://127.0.0.1:3041");
}

#[test]
fn proxies_are_addresses_and_networks_and_not_everybody() {
    let directory = File::new(&DIRECTORY.replace("[node]", "trusted_proxies = [\"10.0.0.5\", \"fd00::/8\"]\n[node]"));
    let config = directory.directory(&[], &[]).expect("it is right");
    let told: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["10.0.0.5/32", "fd00::/8"]);
    let config = directory.directory(&[("RINGMASTER__TRUSTED_PROXIES", "127.0.0.1, 10.9.8.7/16")], &[]);
    let told: Vec<String> = config.expect("it is right").trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["127.0.0.1/32", "10.9.0.0/16"]);
    for (wrong, says) in
        [("localhost", "neither"), ("0.0.0.0/0", "everybody"), ("::/0", "everybody"), ("10.0.0.0/33", "neither")]
    {
        let said = directory.directory(&[("RINGMASTER__TRUSTED_PROXIES", wrong)], &[]).expect_err(wrong);
        assert!(said.contains(says) && said.contains("`trusted_proxies"), "{said}");
    }
}

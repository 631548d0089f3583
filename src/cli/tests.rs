use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_takes_what_it_needs() {
    for line in [
        "ringmaster signup ann --password-stdin",
        "ringmaster login ann --password secret --print-token",
        "ringmaster logout",
        "ringmaster put a b c /d/",
        "ringmaster put -r a /d",
        "ringmaster put - /d/e",
        "ringmaster put a /b --lock-token 1.x --if-version 3",
        "ringmaster get -rf /a b",
        "ringmaster get id:7",
        "ringmaster cat /a ann:/b",
        "ringmaster ls",
        "ringmaster ls -lah /a",
        "ringmaster stat /a",
        "ringmaster mkdir /a /b",
        "ringmaster mv /a /b",
        "ringmaster cp -r /a ann:/b",
        "ringmaster rm -r /a",
        "ringmaster rm --permanently /a",
        "ringmaster trash",
        "ringmaster trash restore 7",
        "ringmaster trash restore /a --to /b",
        "ringmaster trash empty --yes",
        "ringmaster trash empty id:7",
        "ringmaster history /a",
        "ringmaster history /a --restore 3 --lock-token 1.x",
        "ringmaster get /a --version 3",
        "ringmaster du",
        "ringmaster users",
        "ringmaster quota bob",
        "ringmaster quota bob --bytes 10G --files any",
        "ringmaster share /a bob --write",
        "ringmaster unshare /a bob",
        "ringmaster lock /a --ttl 5m",
        "ringmaster unlock 1.x",
        "ringmaster locks --json",
        "ringmaster --url http://a:1,http://b:2 --timeout 5s cluster status",
        "ringmaster ring status",
        "ringmaster ring drain 3 --cancel",
        "ringmaster ring remove 3",
        "ringmaster ring rebalance --stop",
        "ringmaster ring scrub",
        "ringmaster ring scrub 3",
        "ringmaster replication status",
        "ringmaster policy show",
        "ringmaster policy set copies=3 garbage_grace=30m session_ttl_ms=1000",
        "ringmaster backup d --hold 1h --prune 7",
        "ringmaster restore d --config f --url http://a:1",
        "ringmaster directory --config f --set a=b",
        "ringmaster fileserver --config f",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn wrong_usage_is_seen_before_anything_is_sent() {
    for line in [
        "ringmaster",
        "ringmaster put a",
        "ringmaster put -r a /b --if-version 3",
        "ringmaster get ../a",
        "ringmaster get -r /a --version 3",
        "ringmaster cat",
        "ringmaster cp /a",
        "ringmaster trash restore",
        "ringmaster history /a --lock-token 1.x",
        "ringmaster quota",
        "ringmaster quota bob --bytes much",
        "ringmaster lock /a --ttl soon",
        "ringmaster lock /a --ttl 0s",
        "ringmaster --url ftp://a:1 ls",
        "ringmaster --url a:1 ls",
        "ringmaster --url http://a:1/files ls",
        "ringmaster login ann --password x --password-stdin",
        "ringmaster backup d --hold 2h",
        "ringmaster backup d --hold 999ms",
        "ringmaster directory",
        "ringmaster ring drain",
        "ringmaster ring drain three",
        "ringmaster policy set",
        "ringmaster policy set copies",
        "ringmaster policy set copies=many",
        "ringmaster policy set colour=blue",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn several_urls_name_one_cluster() {
    let cli = parse("ringmaster --url http://a:1,http://b:2 ls").expect("parsed");
    let urls: Vec<&str> = cli.global.urls.iter().map(url::Url::as_str).collect();
    assert_eq!(urls, ["http://a:1/", "http://b:2/"]);
}

//! Violations planted on purpose: each rule must find its own, on the right line, and must not find what only looks
//! like one.

use std::collections::BTreeSet;

use crate::rules;
use crate::source::{SourceFile, Token};

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile::parse(name, text)
}

/// The one finding, which must name this place.
#[track_caller]
fn finds(problems: &[String], place: &str) {
    assert!(problems.len() == 1 && problems[0].starts_with(place), "not {place}: {problems:#?}");
}

#[track_caller]
fn passes(problems: &[String]) {
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn a_higher_floor_and_a_sibling_are_found_however_they_are_spelt() {
    for (name, text) in [
        ("domain/apply.rs", "\nuse crate::protocol::api;"),
        ("domain/apply.rs", "\nuse super::super::protocol::api;"),
        ("domain/mod.rs", "\nuse crate::{clock::Clock};"),
        ("protocol/api.rs", "\nfn f(clock: &crate::clock::SharedClock) {}"),
        ("consensus/handle/mod.rs", "\nuse crate::{domain::{apply}, client::Directory};"),
        ("client/mod.rs", "\nuse crate::consensus as c;"),
        ("fileserver/http.rs", "\npub(crate) use crate::directory::*;"),
        ("directory/mod.rs", "\nfn f() { ringmaster::cli::main(); }"),
        ("clock.rs", "\nuse super::config::Key;"),
    ] {
        finds(&rules::floors(&[file(name, text)]), &format!("{name}:2: "));
    }
    finds(&rules::floors(&[file("gossip/mod.rs", "")]), "gossip/mod.rs: `gossip` has no floor");
}

#[test]
fn lower_floors_and_the_own_folder_are_free() {
    for (name, text) in [
        ("cli/mod.rs", "use crate::{client::Directory, directory, fileserver::start, config};"),
        ("domain/apply/tests.rs", "use super::super::store; use crate::domain::plan;"),
        ("protocol/api.rs", "//! As crate::directory::http says.\nconst TEXT: &str = \"crate::client\";"),
        ("main.rs", "fn main() { ringmaster::cli::main() }"),
        ("lib.rs", "pub mod directory;"),
    ] {
        passes(&rules::floors(&[file(name, text)]));
    }
}

#[test]
fn a_circle_in_a_folder_is_found() {
    let circle = [
        file("client/mod.rs", "mod a; mod b; mod c;"),
        file("client/a.rs", "\nuse super::b::B;"),
        file("client/b.rs", "use crate::client::c::C;"),
        file("client/c.rs", "\n\nuse super::{a::A};"),
    ];
    let problems = rules::circles(&circle);
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(problems[0].contains("client/a.rs:2") && problems[0].contains("client/c.rs:3"), "{problems:#?}");
    passes(&rules::circles(&circle[..3]));
}

#[test]
fn names_out_of_their_place_are_found() {
    for (name, text) in [
        ("directory/mod.rs", "\nuse openraft::Raft;"),
        ("domain/store.rs", "\nfn f(db: rocksdb::DB) {}"),
        ("fileserver/store.rs", "\nuse std::time::{Duration, SystemTime};"),
        ("client/retry.rs", "\nlet jitter = getrandom::u32();"),
        ("fileserver/identity.rs", "\nlet uuid = Uuid::new_v4();"),
        ("consensus/mod.rs", "\nuse rand::Rng;"),
        ("consensus/mod.rs", "\nlet x = rand::random();"),
    ] {
        finds(&rules::confined(&[file(name, text)]), &format!("{name}:2: "));
    }
    passes(&rules::confined(&[
        file("consensus/log.rs", "use openraft::RaftLogReader; use rocksdb::DB;"),
        file("clock.rs", "use std::time::SystemTime; fn f() { getrandom::fill(b) }"),
        file("protocol/api.rs", "/* rocksdb */ fn rand() {}"),
    ]));
}

#[test]
fn a_world_of_consensus_own_is_found() {
    for text in [
        "use std::time::{Duration, Instant};",
        "fn f() { std::time::Instant::now(); }",
        "async fn f() { tokio::spawn(g()); }",
        "async fn f() { tokio::task::spawn_blocking(g).await; }",
        "use tokio::task::{JoinHandle, spawn_blocking};",
        "async fn f() { tokio::select! { () = g() => {} } }",
    ] {
        let name = "consensus/handle/read.rs";
        finds(&rules::consensus_asks_for_its_world(&[file(name, &format!("\n{text}"))]), &format!("{name}:2: "));
    }
    passes(&rules::consensus_asks_for_its_world(&[
        file("consensus/handle/read.rs", "use std::time::Duration; use tokio::time::Instant;"),
        file("consensus/handle/read.rs", "async fn f() { tokio::select! { biased; () = g() => {} } }"),
        file("consensus/production.rs", "fn f() { tokio::spawn(g()); }"),
        file("consensus/tests/reads.rs", "use std::time::Instant;"),
        file("client/retry.rs", "use std::time::Instant;"),
    ]));
}

#[test]
fn impurity_of_the_domain_is_found() {
    for text in [
        "use std::collections::HashMap;",
        "fn f(x: f64) {}",
        "fn f(x: f32) {}",
        "async fn f() {}",
        "use tokio::sync::mpsc;",
        "use std::fs;",
        "use std::{fmt, fs::File};",
        "use std::net::SocketAddr;",
        "use std::{fmt, net};",
        "fn f() { std::env::var(\"X\"); }",
    ] {
        let problems = rules::pure_domain(&[file("domain/ring.rs", &format!("\n{text}"))]);
        finds(&problems, "domain/ring.rs:2: ");
    }
    passes(&rules::pure_domain(&[
        file("domain/ring.rs", "use std::collections::BTreeMap; // no HashMap\nfn net(x: u64) {}"),
        file("domain/ring.rs", "#[cfg(test)]\nmod tests { use std::collections::HashSet; }"),
        file("domain/tests.rs", "use std::collections::HashMap;"),
        file("client/mod.rs", "use std::net::SocketAddr;"),
    ]));
}

#[test]
fn printing_is_found() {
    for name in ["println", "print", "eprintln", "eprint", "dbg"] {
        let text = format!("fn f() {{\n    {name}!(\"x\");\n}}");
        finds(&rules::printing(&[file("client/mod.rs", &text)]), "client/mod.rs:2: ");
        passes(&rules::printing(&[file("cli/mod.rs", &text), file("main.rs", &text)]));
    }
    passes(&rules::printing(&[file("client/mod.rs", "/// println!\nfn print() {}")]));
}

#[test]
fn long_files_and_empty_names_are_found() {
    finds(&rules::sizes_and_names(&[file("client/mod.rs", &"\n".repeat(501))]), "client/mod.rs:501: ");
    passes(&rules::sizes_and_names(&[file("client/mod.rs", &"\n".repeat(500))]));
    for name in ["utils", "common", "manager", "helper", "service"] {
        for place in [format!("client/{name}.rs"), format!("client/{name}/mod.rs"), format!("client/{name}/x.rs")] {
            finds(&rules::sizes_and_names(&[file(&place, "")]), &format!("{place}:1: "));
        }
        let inline = format!("\nmod {name} {{}}");
        finds(&rules::sizes_and_names(&[file("client/mod.rs", &inline)]), "client/mod.rs:2: ");
    }
}

#[test]
fn paths_of_one_machine_are_found() {
    for folder in rules::machine_folders() {
        finds(&rules::machine_paths("scripts/x", &format!("a\ncd {folder}main")), "scripts/x:2: ");
    }
    passes(&rules::machine_paths("README.md", "a/root.rs, the network/ and /home/ann"));
}

#[test]
fn the_reader_of_sources_reads_them() {
    let text = r##"
        //! crate::comment::x and /* not */ "here"
        use crate::{alpha::One, beta::{self, two::Three}};
        use super::gamma::*;
        fn f<'a>(c: char) -> &'a str { let _ = ('"', b'\'', r#"crate::raw::x"#); ringmaster::delta::f(); "crate::text::x" }
        #[cfg(test)]
        mod tests { use super::super::epsilon::x; }
        fn g() { self::zeta(); std::io::Error::other::<super::Eta>() }
    "##;
    let file = SourceFile::parse("domain/inner.rs", text);
    let paths: BTreeSet<(String, usize)> = file.paths().iter().map(|used| (used.path.join("::"), used.line)).collect();
    let expected = [
        ("alpha::One", 3),
        ("beta", 3),
        ("beta::two::Three", 3),
        ("delta::f", 5),
        ("domain::Eta", 8),
        ("domain::gamma", 4),
        ("domain::inner::zeta", 8),
    ];
    assert_eq!(paths, expected.iter().map(|(path, line)| ((*path).to_owned(), *line)).collect());
    assert_eq!(file.lines_with("char"), [5]);
    assert!(file.lines_with("raw").is_empty() && file.lines_with("comment").is_empty());
    assert!(file.tokens.contains(&Token::Word("Three".into())));
}

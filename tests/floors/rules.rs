//! The rules, each a function from sources to findings.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::SourceFile;

/// The floor of every module of the crate. `main` stands above all and `lib` holds nothing.
const FLOORS: &[(&str, u8)] = &[
    ("cli", 6),
    ("directory", 5),
    ("fileserver", 5),
    ("consensus", 4),
    ("client", 4),
    ("backup", 4),
    ("monitoring", 4),
    ("listener", 3),
    ("trust", 2),
    ("protocol", 1),
    ("config", 1),
    ("telemetry", 1),
    ("clock", 1),
    ("local", 0),
    ("domain", 0),
];

/// A longer file is a design question that nobody has answered yet.
const MAX_LINES: usize = 500;

/// Names that say nothing about what a module is for.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "manager", "helper", "helpers", "service", "misc"];

/// A name, the modules that may use it, and why no other may.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("openraft", &["consensus"], "it is a moving alpha: use consensus::Handle"),
    ("rocksdb", &["consensus"], "storage stays behind domain's Store trait"),
    ("SystemTime", &["clock"], "ask clock.rs, so that a simulation can put its own time in place"),
    ("getrandom", &["clock"], "ask clock.rs, so that a simulation can put its own randomness in place"),
    // Of an IPv4 socket, in the command line and in tests of the listener.
    ("new_v4", &["clock", "cli", "listener"], "ask clock.rs, so that a simulation can put its own randomness in place"),
];

/// What the replicated state machine must not know, because every replica has to come to the same bytes.
const NOT_IN_DOMAIN: &[&str] =
    &["HashMap", "HashSet", "f32", "f64", "async", "tokio", "tracing", "Instant", "thread", "fs", "reqwest", "axum"];

/// The same, where the name alone may mean something else.
const PATHS_NOT_IN_DOMAIN: &[&[&str]] = &[&["std", "net"], &["std", "io"], &["std", "process"], &["std", "env"]];

/// The macros that write to standard output or error.
const PRINTING: &[&str] = &["println", "print", "eprintln", "eprint", "dbg"];

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn own(file: &SourceFile) -> &str {
    file.module.first().map_or("lib", String::as_str)
}

pub(crate) fn floors(files: &[SourceFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files {
        let own = own(file);
        if matches!(own, "main" | "lib") {
            continue;
        }
        let Some(own_floor) = floor(own) else {
            problems.push(format!("{}: `{own}` has no floor: give it one here and in docs/ARCHITECTURE.md", file.name));
            continue;
        };
        for used in file.paths() {
            let Some(other) = used.path.first().filter(|other| *other != own) else { continue };
            let Some(other_floor) = floor(other) else { continue };
            if other_floor >= own_floor {
                problems.push(format!(
                    "{}:{}: `{own}` (floor {own_floor}) uses `{}` (floor {other_floor}): only lower floors may be used",
                    file.name,
                    used.line,
                    used.path.join("::")
                ));
            }
        }
    }
    problems
}

/// For each folder, which of its children use which others, and on which line. A child may use what its parent defines.
pub(crate) fn circles(files: &[SourceFile]) -> Vec<String> {
    let modules: BTreeSet<&[String]> = files.iter().map(|file| file.module.as_slice()).collect();
    let mut uses: BTreeMap<&[String], BTreeMap<&str, BTreeMap<String, String>>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        for used in file.paths() {
            for depth in 1..file.module.len() {
                let (folder, rest) = file.module.split_at(depth);
                let Some(other) = used.path.get(depth) else { continue };
                let is_module = modules.iter().any(|module| module.starts_with(&used.path[..=depth]));
                if used.path[..depth] == *folder && *other != rest[0] && is_module {
                    let others = uses.entry(folder).or_default().entry(rest[0].as_str()).or_default();
                    others.entry(other.clone()).or_insert_with(|| format!("{}:{}", file.name, used.line));
                }
            }
        }
    }
    let mut problems = Vec::new();
    for (folder, children) in &uses {
        for start in children.keys() {
            let mut trail = Vec::new();
            if reaches(children, start, start, &mut trail, &mut BTreeSet::new()) {
                let trail = trail.join(", which uses ");
                problems.push(format!("{}: `{start}` uses {trail}: a folder has no circle", folder.join("::")));
            }
        }
    }
    problems
}

fn reaches(
    uses: &BTreeMap<&str, BTreeMap<String, String>>,
    from: &str,
    target: &str,
    trail: &mut Vec<String>,
    seen: &mut BTreeSet<String>,
) -> bool {
    for (next, place) in uses.get(from).into_iter().flatten() {
        trail.push(format!("`{next}` ({place})"));
        if next == target || (seen.insert(next.clone()) && reaches(uses, next, target, trail, seen)) {
            return true;
        }
        trail.pop();
    }
    false
}

pub(crate) fn confined(files: &[SourceFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files {
        for (name, allowed, why) in CONFINED {
            if allowed.contains(&own(file)) {
                continue;
            }
            for line in file.lines_with(name) {
                problems.push(format!("{}:{line}: `{name}` belongs to {}: {why}", file.name, allowed.join(", ")));
            }
        }
        for used in file.paths_into("rand") {
            problems.push(format!("{}:{}: `rand`: randomness comes from clock.rs alone", file.name, used.line));
        }
    }
    problems
}

/// Tests of the domain may count in whatever way they like.
pub(crate) fn pure_domain(files: &[SourceFile]) -> Vec<String> {
    let mut problems = Vec::new();
    let domain = files.iter().filter(|file| own(file) == "domain" && !file.is_test());
    for file in domain {
        let words = NOT_IN_DOMAIN.iter().flat_map(|name| {
            file.lines_with(name).into_iter().map(|line| (line, (*name).to_owned())).collect::<Vec<_>>()
        });
        let paths = file.paths_into("std").into_iter().filter_map(|used| {
            let banned = PATHS_NOT_IN_DOMAIN.iter().any(|path| used.path.iter().take(path.len()).eq(path.iter()));
            banned.then(|| (used.line, used.path.join("::")))
        });
        for (line, name) in words.chain(paths) {
            problems.push(format!("{}:{line}: `{name}` in `domain`, which is pure and synchronous", file.name));
        }
    }
    problems
}

/// Where consensus may meet the world itself; everywhere else it asks its `Environment`, so that a simulation can put its
/// own in place.
const WORLD_OF_CONSENSUS: &[&str] = &["consensus/production.rs", "consensus/transport/server.rs"];

/// Tests of consensus are threads and sockets as they come. Of tokio's own time there is one, which a simulation stops.
pub(crate) fn consensus_asks_for_its_world(files: &[SourceFile]) -> Vec<String> {
    let mut problems = Vec::new();
    let asks = |file: &&SourceFile| {
        own(file) == "consensus" && !file.is_test() && !WORLD_OF_CONSENSUS.contains(&file.name.as_str())
    };
    for file in files.iter().filter(asks) {
        let time =
            file.paths_into("std").into_iter().filter(|used| used.path.iter().take(3).eq(&["std", "time", "Instant"]));
        let time = time.map(|used| (used.line, "std::time::Instant"));
        let tasks = file.paths_into("tokio").into_iter().filter(|used| {
            used.path.starts_with(&["tokio".into(), "spawn".into()])
                || used.path.iter().any(|name| name == "spawn_blocking")
        });
        for (line, name) in time.chain(tasks.map(|used| (used.line, "a task of tokio's"))) {
            problems.push(format!("{}:{line}: {name} in consensus: ask its Environment", file.name));
        }
        for line in file.lines_that_call_without("select", "biased") {
            problems.push(format!("{}:{line}: a `select!` that begins anywhere: no run can be repeated", file.name));
        }
    }
    problems
}

pub(crate) fn printing(files: &[SourceFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| !matches!(own(file), "cli" | "main")) {
        for name in PRINTING {
            for line in file.lines_that_call(name) {
                problems.push(format!("{}:{line}: `{name}!` outside `cli`: use tracing, or answer", file.name));
            }
        }
    }
    problems
}

pub(crate) fn sizes_and_names(files: &[SourceFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files {
        if file.lines > MAX_LINES {
            problems
                .push(format!("{}:{}: more than {MAX_LINES} lines: split it by responsibility", file.name, file.lines));
        }
        let inline = file.inline_modules();
        let names = file.module.iter().map(|name| (name.as_str(), 1)).chain(inline);
        for (name, line) in names.filter(|(name, _)| EMPTY_NAMES.contains(name)) {
            problems.push(format!("{}:{line}: `{name}` says nothing: name it after what it does", file.name));
        }
    }
    problems
}

/// Put together here, so that this file does not name them.
pub(crate) fn machine_folders() -> [String; 2] {
    ["root", "work"].map(|name| format!("/{name}/"))
}

pub(crate) fn machine_paths(name: &str, text: &str) -> Vec<String> {
    let folders = machine_folders();
    let lines = text.lines().zip(1..).filter(|(line, _)| folders.iter().any(|folder| line.contains(folder)));
    lines
        .map(|(_, number)| format!("{name}:{number}: a path of one machine: make it relative, or ask the environment"))
        .collect()
}

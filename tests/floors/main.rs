//! What no compiler can hold in one crate: a module uses only lower floors or its own folder, folders have no
//! circles, and each of a few names stays in the one place that may know it. The floors are those of
//! `docs/ARCHITECTURE.md`.

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source::{SourceFile, Token};

/// The floor of every module of the crate. `main` stands above all and `lib` holds nothing.
const FLOORS: &[(&str, u8)] = &[
    ("cli", 4),
    ("directory", 3),
    ("fileserver", 3),
    ("consensus", 2),
    ("client", 2),
    ("protocol", 1),
    ("config", 1),
    ("telemetry", 1),
    ("clock", 1),
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
];

/// What the replicated state machine must not know, because every replica has to come to the same bytes.
const NOT_IN_DOMAIN: &[&str] =
    &["HashMap", "HashSet", "f32", "f64", "async", "tokio", "tracing", "Instant", "thread", "fs", "reqwest", "axum"];

fn sources() -> Vec<SourceFile> {
    let files = source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 5, "the sources were not found");
    files
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn a_module_uses_only_lower_floors() {
    let mut problems = Vec::new();
    for file in sources() {
        let Some(own) = file.module.first().filter(|name| *name != "main") else { continue };
        let Some(own_floor) = floor(own) else {
            problems.push(format!("{}: `{own}` has no floor: give it one here and in docs/ARCHITECTURE.md", file.name));
            continue;
        };
        for used in file.paths() {
            let Some(other) = used.first().filter(|other| *other != own) else { continue };
            let Some(other_floor) = floor(other) else { continue };
            if other_floor >= own_floor {
                problems.push(format!(
                    "{}: `{own}` (floor {own_floor}) uses `{}` (floor {other_floor}): only lower floors may be used",
                    file.name,
                    used.join("::")
                ));
            }
        }
    }
    none(&problems);
}

#[test]
fn a_folder_has_no_circle() {
    let files = sources();
    let modules: BTreeSet<&[String]> = files.iter().map(|file| file.module.as_slice()).collect();
    // For each folder, which of its children use which others. A child may use what its parent defines.
    let mut uses: BTreeMap<&[String], BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        for used in file.paths() {
            for depth in 1..file.module.len() {
                let (folder, rest) = file.module.split_at(depth);
                let Some(other) = used.get(depth) else { continue };
                let is_module = modules.iter().any(|module| module.starts_with(&used[..=depth]));
                if used[..depth] == *folder && *other != rest[0] && is_module {
                    uses.entry(folder).or_default().entry(rest[0].as_str()).or_default().insert(other.clone());
                }
            }
        }
    }
    let mut problems = Vec::new();
    for (folder, children) in &uses {
        for start in children.keys() {
            let mut trail = vec![(*start).to_owned()];
            if reaches(children, start, start, &mut trail, &mut BTreeSet::new()) {
                problems.push(format!("{}: {}", folder.join("::"), trail.join(" uses ")));
            }
        }
    }
    none(&problems);
}

fn reaches(
    uses: &BTreeMap<&str, BTreeSet<String>>,
    from: &str,
    target: &str,
    trail: &mut Vec<String>,
    seen: &mut BTreeSet<String>,
) -> bool {
    for next in uses.get(from).into_iter().flatten() {
        trail.push(next.clone());
        if next == target || (seen.insert(next.clone()) && reaches(uses, next, target, trail, seen)) {
            return true;
        }
        trail.pop();
    }
    false
}

#[test]
fn some_names_stay_where_they_belong() {
    let mut problems = Vec::new();
    for file in sources() {
        let own = file.module.first().map_or("lib", String::as_str);
        for (name, allowed, why) in CONFINED {
            if !allowed.contains(&own) && file.mentions(name) {
                problems.push(format!("{}: `{name}` belongs to {}: {why}", file.name, allowed.join(", ")));
            }
        }
        // Tests of the domain may count in whatever way they like.
        if own == "domain" && !file.is_test() {
            for name in NOT_IN_DOMAIN.iter().filter(|name| file.mentions(name)) {
                problems.push(format!("{}: `{name}` in `domain`, which is pure and synchronous", file.name));
            }
        }
    }
    none(&problems);
}

#[test]
fn files_are_short_and_have_names_that_say_something() {
    let mut problems = Vec::new();
    for file in sources() {
        let name = file.module.last().map_or("lib", String::as_str);
        if file.lines > MAX_LINES {
            problems.push(format!(
                "{}: {} lines, more than {MAX_LINES}: split it by responsibility",
                file.name, file.lines
            ));
        }
        if EMPTY_NAMES.contains(&name) {
            problems.push(format!("{}: `{name}` says nothing: name it after what it does", file.name));
        }
    }
    none(&problems);
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
    "##;
    let file = SourceFile::parse("domain/inner.rs", text);
    let paths: BTreeSet<String> = file.paths().iter().map(|path| path.join("::")).collect();
    let expected = ["alpha::One", "beta", "beta::two::Three", "domain::gamma", "delta::f"];
    assert_eq!(paths, expected.iter().map(ToString::to_string).collect());
    assert!(file.mentions("char") && !file.mentions("raw") && !file.mentions("comment"));
    assert!(file.tokens.contains(&Token::Word("Three".into())));
}

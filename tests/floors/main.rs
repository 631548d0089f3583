//! What no compiler can hold in one crate: a module uses only lower floors or its own folder, folders have no
//! circles, and each of a few names stays in the one place that may know it. The floors are those of
//! `docs/ARCHITECTURE.md`. A finding names the file, the line, the rule and the way out; each rule has a violation
//! planted in `planted`, so that a rule that finds nothing any more is found out.

mod planted;
mod rules;
mod source;

use std::path::Path;
use std::process::Command;

use source::SourceFile;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<SourceFile> {
    let files = source::read(&root().join("src"));
    assert!(files.len() > 5, "the sources were not found");
    files
}

#[track_caller]
fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn a_module_uses_only_lower_floors() {
    none(&rules::floors(&sources()));
}

#[test]
fn a_folder_has_no_circle() {
    none(&rules::circles(&sources()));
}

#[test]
fn some_names_stay_where_they_belong() {
    none(&rules::confined(&sources()));
}

#[test]
fn consensus_asks_for_its_world() {
    none(&rules::consensus_asks_for_its_world(&sources()));
}

#[test]
fn the_domain_is_pure() {
    none(&rules::pure_domain(&sources()));
}

#[test]
fn only_the_command_line_prints() {
    none(&rules::printing(&sources()));
}

#[test]
fn files_are_short_and_have_names_that_say_something() {
    none(&rules::sizes_and_names(&sources()));
}

#[test]
fn nothing_committed_names_a_path_of_one_machine() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    // A release unpacked from an archive has no history to ask.
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else { return };
    let mut problems = Vec::new();
    for name in String::from_utf8(listed.stdout).expect("names in UTF-8").split_terminator('\0') {
        // A file that is deleted and not yet committed so is still listed; one that is no text is not looked into.
        if let Ok(text) = std::fs::read_to_string(root().join(name)) {
            problems.extend(rules::machine_paths(name, &text));
        }
    }
    none(&problems);
}

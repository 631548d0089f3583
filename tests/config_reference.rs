//! Pages that must not lag behind the code: the README's configuration reference, and the list of dependencies.

use std::path::Path;

use ringmaster::config::{DirectoryConfig, FileServerConfig, reference};
use ringmaster::domain::plant::Plant;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_readme_lists_exactly_the_keys_that_are_known() {
    let readme = page("README.md");
    let (_, rest) =
        readme.split_once("<!-- configuration: begin -->\n").expect("the README has the reference's beginning");
    let (listed, _) = rest.split_once("<!-- configuration: end -->").expect("the README has the reference's end");
    assert!(listed == reference(), "put this between the README's two marks:\n\n{}", reference());
}

#[test]
fn the_files_of_the_local_cluster_load() {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/local");
    let mut members = None;
    for id in 1..=3 {
        let config = DirectoryConfig::load(&local.join(format!("directory-{id}.toml")), Vec::new(), &[])
            .unwrap_or_else(|error| panic!("directory-{id}: {error}"));
        assert_eq!(config.node.id, id);
        let first = members.get_or_insert_with(|| config.cluster.members.clone());
        assert_eq!(*first, config.cluster.members, "every node lists the same members");
    }
    let urls: Vec<_> = members.into_iter().flatten().map(|member| member.peer).collect();
    for id in 1..=4 {
        let config = FileServerConfig::load(&local.join(format!("fileserver-{id}.toml")), Vec::new(), &[])
            .unwrap_or_else(|error| panic!("fileserver-{id}: {error}"));
        assert_eq!(config.cluster.directory, urls, "every file server knows all directory nodes");
    }
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = page("Cargo.toml");
    let reasons = page("docs/DEPENDENCIES.md");
    let mut in_dependencies = false;
    let mut silent = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once(" =").filter(|_| in_dependencies) {
            let named = reasons.lines().filter(|row| row.starts_with("| ")).any(|row| {
                let first = row.trim_start_matches("| ").split('|').next().unwrap_or_default();
                first.split([',', ' ']).any(|word| word == name)
            });
            if !named {
                silent.push(name);
            }
        }
    }
    assert!(silent.is_empty(), "docs/DEPENDENCIES.md does not say why these are there: {}", silent.join(", "));
}

#[test]
fn the_page_says_of_every_planted_bug_which_test_catches_it() {
    let rows = page("docs/TESTING.md");
    for bug in Plant::ALL {
        let start = format!("| `{bug}` |");
        let row = rows.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("docs/TESTING.md has no row for the bug {bug}"));
        // Where it is planted, and the test that has to fail then: that these are there is looked at below.
        let tests = row.split('`').filter(|quoted| quoted.starts_with("tests/") && quoted.contains("::")).count();
        assert!(tests >= 2, "the row for {bug} names no test by its function: {row}");
    }
}

#[test]
fn what_the_pages_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for name in ["README.md", "docs/API.md", "docs/TESTING.md", "docs/ARCHITECTURE.md"] {
        let text = page(name);
        for quoted in text.split('`').skip(1).step_by(2) {
            let (path, function) = quoted.split_once("::").unwrap_or((quoted, ""));
            let path = path.split(' ').next().unwrap_or_default();
            let ours = ["tests/", "src/", "scripts/", "benches/", "docs/"].iter().any(|start| path.starts_with(start));
            if !ours {
                continue;
            }
            match std::fs::read_to_string(root.join(path)) {
                Ok(source) if function.is_empty() || source.contains(&format!("fn {function}(")) => {}
                _ if function.is_empty() && root.join(path).is_dir() => {}
                _ => wrong.push(format!("{name} names `{quoted}`, which is not there")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

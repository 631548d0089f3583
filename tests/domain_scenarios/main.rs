//! Golden scenarios: stories of a cluster as text, in `tests/golden/scenarios/*.txt`.
//!
//! A line that starts with `>` is a command or a question (`world.rs` and `upkeep.rs` list them), `# ` starts a comment, and the lines
//! between are what was answered. `UPDATE_GOLDEN=1 cargo test --test domain_scenarios` writes the answers anew; look at
//! the difference before you commit it. After each command every invariant is checked.

mod script;
mod upkeep;
mod world;

use std::fmt::Write as _;
use std::path::Path;

use world::World;

/// Runs a scenario and gives it back with the answers it got.
fn replay(text: &str) -> String {
    let mut world = World::default();
    let mut out = String::new();
    for line in text.lines() {
        let Some(command) = line.strip_prefix('>') else {
            // Old answers are dropped; what else is there stays. `#5` begins an answer: an entry and its id.
            if line.is_empty() || line.starts_with("# ") {
                writeln!(out, "{line}").expect("a string takes all");
            }
            continue;
        };
        writeln!(out, "{line}").expect("a string takes all");
        for answer in world.run(command.trim()) {
            writeln!(out, "{answer}").expect("a string takes all");
        }
    }
    out
}

#[test]
fn scenarios_go_as_they_are_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the scenarios are there")
        .map(|file| file.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there are no scenarios");
    for file in files {
        let told = std::fs::read_to_string(&file).expect("a scenario can be read");
        let went = replay(&told);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &went).expect("a scenario can be written");
        } else {
            assert_eq!(told, went, "{} went another way (UPDATE_GOLDEN=1 accepts it)", file.display());
        }
    }
}

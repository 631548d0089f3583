//! The table of `docs/CLI.md` and the tests here know one another.

use std::fs;
use std::path::Path;

#[test]
fn each_line_names_a_test_and_each_test_has_a_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/CLI.md")).expect("the page is there");
    let mut missing = Vec::new();
    let mut known = 0;
    for file in ["cat", "folder", "get", "login", "put"] {
        let path = root.join("tests/cluster/machine").join(file).with_extension("rs");
        let source = fs::read_to_string(path).expect("a source");
        let tests =
            source.split("#[tokio::test").skip(1).filter_map(|test| test.split("async fn ").nth(1)?.split('(').next());
        for test in tests {
            known += 1;
            let name = format!("`{file}::{test}`");
            if !page.contains(&name) {
                missing.push(name);
            }
        }
    }
    assert!(known > 10 && missing.is_empty(), "docs/CLI.md does not name {missing:?}");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.contains("---"));
    let without: Vec<_> = rows.filter(|row| !row.contains("::") && !row.ends_with("| test |")).collect();
    assert!(without.is_empty(), "{without:?}");
    let named = page.split('`').filter(|name| name.contains("::") && !name.contains(' '));
    let sources: String = ["tests/cluster/machine", "tests"]
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).expect("a folder"))
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .collect();
    for name in named {
        let test = name.rsplit("::").next().unwrap_or_default();
        assert!(sources.contains(&format!("fn {test}(")), "{name} is no test");
    }
}

//! The document and the page, as far as they are compared.

use std::path::Path;

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) method: String,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { path: path.to_owned(), method: method.to_uppercase() }
    }
}

pub(crate) fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn document() -> Value {
    serde_json::from_str(&source("docs/openapi.json")).expect("docs/openapi.json is JSON")
}

pub(crate) fn operations(document: &Value) -> Vec<(Call, &Value)> {
    let paths = document["paths"].as_object().expect("the document has paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().expect("a path has operations");
        operations.iter().map(|(method, operation)| (Call::new(method, path), operation))
    });
    each.collect()
}

/// A call in one of the page's tables.
pub(crate) struct Row {
    pub(crate) call: Call,
    pub(crate) whose: String,
    pub(crate) who: String,
    pub(crate) takes_key: bool,
    pub(crate) is_internal: bool,
}

/// The calls of the page. Those of users read `call | who | K | does`, those between the parts `call | of | is for`.
pub(crate) fn page() -> Vec<Row> {
    let page = source("docs/API.md");
    let (open, internal) = page
        .split_once("\n## Calls between the parts of a cluster\n")
        .expect("the page has the calls between the parts");
    let mut rows = Vec::new();
    for (text, is_internal) in [(open, false), (internal, true)] {
        for cells in cells(text) {
            for quoted in cells[0].split('`').skip(1).step_by(2) {
                let Some((method, path)) = quoted.split_once(' ') else { continue };
                rows.push(Row {
                    call: Call::new(method, path),
                    whose: if is_internal { cells[1].clone() } else { "directory node".to_owned() },
                    who: cells[1].clone(),
                    takes_key: !is_internal && cells[2] == "K",
                    is_internal,
                });
            }
        }
    }
    assert!(rows.len() > 40, "the tables of docs/API.md were not found");
    rows
}

/// The rows of a text's tables.
pub(crate) fn cells(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

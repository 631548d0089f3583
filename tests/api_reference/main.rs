//! `docs/openapi.json` and `docs/API.md` against the code: every call and every error code is in both, nothing else is,
//! and the shapes are those that the program reads and writes.

mod reading;
mod requests;
mod schema;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};

use ringmaster::directory;
use ringmaster::protocol::problem::Code;
use serde_json::Value;

use reading::{Call, document, operations, page, source};
use schema::{Shapes, texts};

/// What file servers alone call of a directory node: on the page, and not in the document.
const OF_FILE_SERVERS: [&str; 4] = ["/join", "/register", "/heartbeat", "/inventory"];

/// The calls of a directory node, HEAD left out: it is wherever GET is.
fn routed() -> BTreeSet<Call> {
    let calls = directory::calls().into_iter();
    calls
        .flat_map(|(path, allow)| allow.split(", ").map(|method| Call::new(method, path)).collect::<Vec<_>>())
        .filter(|call| call.method != "HEAD")
        .collect()
}

#[track_caller]
fn same<T: Ord + std::fmt::Debug>(what: &str, told: &BTreeSet<T>, real: &BTreeSet<T>) {
    let missing: Vec<_> = real.difference(told).collect();
    let wrong: Vec<_> = told.difference(real).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{what} lacks {missing:#?}, and has {wrong:#?}, which are not there"
    );
}

#[test]
fn the_document_has_every_call_and_no_other() {
    let document = document();
    let documented: Vec<Call> = operations(&document).into_iter().map(|(call, _)| call).collect();
    let heads: Vec<&Call> = documented.iter().filter(|call| call.method == "HEAD").collect();
    let own = [&Call::new("HEAD", "/read"), &Call::new("HEAD", "/uploads/{upload_id}")];
    assert_eq!(heads, own, "of HEAD only what says something of its own is told");
    let told = documented.iter().filter(|call| call.method != "HEAD").cloned().collect();
    let real = routed().into_iter().filter(|call| !OF_FILE_SERVERS.contains(&call.path.as_str())).collect();
    same("docs/openapi.json", &told, &real);
}

#[test]
fn the_page_has_every_call_and_no_other() {
    let rows = page();
    let told = |row: &&reading::Row, whose: &str| row.whose == whose && row.call.method != "HEAD";
    let of = |whose: &str| rows.iter().filter(|row| told(row, whose)).map(|row| row.call.clone()).collect();
    same("docs/API.md", &of("directory node"), &routed());
    let inner = rows.iter().filter(|row| row.is_internal && row.whose == "directory node");
    let inner: BTreeSet<&str> = inner.map(|row| row.call.path.as_str()).collect();
    assert_eq!(inner, BTreeSet::from(OF_FILE_SERVERS), "of the calls between the parts of a cluster");

    // What a file server answers is read from its router's source.
    let mut real = BTreeSet::new();
    let router = source("src/fileserver/http/mod.rs");
    for route in router.split(".route(\"").skip(1) {
        let (path, rest) = route.split_once('"').expect("a path ends");
        let answers = rest.lines().next().unwrap_or_default();
        for method in ["get", "post", "put", "delete"] {
            if answers.contains(&format!("{method}(")) {
                real.insert(Call::new(method, path));
            }
        }
    }
    same("docs/API.md, of a file server's calls,", &of("file server"), &real);
}

#[test]
fn page_and_document_agree_on_who_may_call_and_under_a_key() {
    let document = document();
    let operations: BTreeMap<Call, &Value> = operations(&document).into_iter().collect();
    let mut wrong = Vec::new();
    for row in page().iter().filter(|row| !row.is_internal) {
        let Some(operation) = operations.get(&row.call) else { continue };
        let scheme = operation["security"][0].as_object().and_then(|scheme| scheme.keys().next().cloned());
        let expected = match row.who.as_str() {
            "anyone" => None,
            "lock service" => Some("lockService"),
            "operator" => Some("operator"),
            _ => Some("login"),
        };
        if scheme.as_deref() != expected {
            wrong.push(format!("{:?}: {:?} on the page, {scheme:?} in the document", row.call, row.who));
        }
        let refused = operation["responses"]["403"]["description"].as_str().unwrap_or_default();
        if (row.who == "admin") != refused.contains("no admin") {
            wrong.push(format!("{:?}: {:?} on the page, and 403 is {refused:?}", row.call, row.who));
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let takes_key =
            parameters.iter().any(|parameter| parameter["$ref"] == "#/components/parameters/IdempotencyKey");
        if row.takes_key != takes_key {
            wrong.push(format!("{:?}: is it sent under a key or not?", row.call));
        }
        // Who reads the operation id of a request makes it repeatable; its refusals are the other half.
        if takes_key != operation["responses"]["422"]["description"].as_str().unwrap_or("").contains("key_reused") {
            wrong.push(format!("{:?}: a key goes with `idempotency_key_reused`", row.call));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_error_code_is_told_and_no_other() {
    let document = document();
    let known: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let listed = texts(&document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]);
    assert_eq!(listed, known, "docs/openapi.json, schema Problem");

    let rows = source("docs/API.md");
    let rows = rows.split_once("\n## Errors\n").expect("the page has the errors").1;
    let rows = rows.split("\n## ").next().expect("a part");
    let told: Vec<(String, u16)> = reading::cells(rows)
        .into_iter()
        .filter_map(|row| Some((row[0].strip_prefix('`')?.strip_suffix('`')?.to_owned(), row[1].parse().ok()?)))
        .collect();
    let real: Vec<(String, u16)> = Code::ALL.iter().map(|code| (code.as_str().to_owned(), code.status())).collect();
    assert_eq!(told, real, "docs/API.md, the table of the errors");

    let mut used = BTreeSet::new();
    for (call, operation) in operations(&document) {
        for (status, answer) in operation["responses"].as_object().expect("answers") {
            if answer["$ref"] != "#/components/responses/Problem" {
                assert!(status.as_str() < "400", "{call:?}: {status} is an error, and no problem document");
                continue;
            }
            let description = answer["description"].as_str().expect("an error says which");
            for part in description.split("; `") {
                let name = part.trim_start_matches('`').split('`').next().unwrap_or_default();
                let code = Code::parse(name).unwrap_or_else(|| panic!("{call:?}: {status} names no code: {part}"));
                assert_eq!(code.status().to_string(), *status, "{call:?}: {name}");
                used.insert(code.as_str());
            }
        }
    }
    same("docs/openapi.json, of the codes,", &used, &known.into_iter().collect());
}

#[test]
fn the_document_is_whole() {
    let document = document();
    let mut references = BTreeSet::new();
    schema::references(&document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (kind, parts) in document["components"].as_object().expect("components") {
        for name in parts.as_object().expect("named parts").keys().filter(|_| kind != "securitySchemes") {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(&reference), "nothing uses {reference}: leave it out");
        }
    }
    let schemes = &document["components"]["securitySchemes"];
    let mut names = BTreeSet::new();
    for (call, operation) in operations(&document) {
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{call:?}: what does it do?");
        let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{call:?} has no operationId"));
        assert!(names.insert(name.to_owned()), "{name} is there twice");
        let answers = operation["responses"].as_object().unwrap_or_else(|| panic!("{call:?} has no answers"));
        assert!(answers.keys().any(|status| status.starts_with('2')), "{call:?}: how does it end well?");
        for scheme in operation["security"].as_array().expect("it says who may") {
            assert!(scheme.as_object().expect("a scheme").keys().all(|name| schemes.get(name).is_some()), "{call:?}");
            assert!(answers.contains_key("401"), "{call:?}: not everybody may");
        }
        // An example is what the call takes.
        let body = &operation["requestBody"]["content"]["application/json"];
        if !body.is_null() {
            let problems = schema::misfits(&document, &body["schema"], &body["example"], "example");
            assert!(problems.is_empty(), "{call:?}: {}", problems.join("\n"));
        }
    }
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"), "the document is of this version");
}

#[test]
fn the_shapes_are_those_of_the_program() {
    let document = document();
    let mut shapes = Shapes::new(&document);
    requests::check(&mut shapes);
    shapes::check(&mut shapes);
    shapes.finish();
}

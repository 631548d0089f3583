//! As much of JSON Schema as the document uses, and the comparison of a type with its schema.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub(crate) fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Every `$ref` below a value.
pub(crate) fn references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            into.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, into));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, into)),
        _ => {}
    }
}

/// Where a value is not as its schema says. A field that the schema does not have is one such place.
pub(crate) fn misfits(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return misfits(document, target.unwrap_or_else(|| panic!("{reference} leads nowhere")), value, at);
    }
    let mut found = Vec::new();
    if let Some(choices) = schema["oneOf"].as_array().filter(|_| schema["type"].is_null()) {
        if !choices.iter().any(|choice| misfits(document, choice, value, at).is_empty()) {
            found.push(format!("{at}: {value} is none of the choices"));
        }
        return found;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed =
        if schema["type"].is_string() { vec![schema["type"].as_str().unwrap_or("")] } else { texts(&schema["type"]) };
    if !allowed.contains(&kind) {
        found.push(format!("{at}: {value} is no {}", allowed.join(" or ")));
    }
    if !schema["enum"].is_null() && !schema["enum"].as_array().is_some_and(|list| list.contains(value)) {
        found.push(format!("{at}: {value} is not in the list"));
    }
    for item in value.as_array().into_iter().flatten() {
        found.extend(misfits(document, &schema["items"], item, &format!("{at}[]")));
    }
    if let Some(fields) = value.as_object() {
        for name in texts(&schema["required"]).into_iter().filter(|name| !fields.contains_key(*name)) {
            found.push(format!("{at}: {name} is required, and not there"));
        }
        for (name, field) in fields {
            match schema["properties"].get(name) {
                Some(property) => found.extend(misfits(document, property, field, &format!("{at}.{name}"))),
                None => found.push(format!("{at}: {name} is not told")),
            }
        }
    }
    found
}

/// The document's schemas, and which of them were compared with a type.
pub(crate) struct Shapes<'a> {
    document: &'a Value,
    compared: BTreeSet<String>,
    problems: Vec<String>,
}

impl<'a> Shapes<'a> {
    pub(crate) fn new(document: &'a Value) -> Self {
        Self { document, compared: BTreeSet::new(), problems: Vec::new() }
    }

    fn schema(&mut self, name: &str) -> &'a Value {
        self.compared.insert(name.to_owned());
        &self.document["components"]["schemas"][name]
    }

    /// A value fits, and has every field of its schema.
    fn fills(&mut self, name: &str, full: &impl Serialize) -> Map<String, Value> {
        let schema = self.schema(name);
        let value = serde_json::to_value(full).expect("it serializes");
        self.problems.extend(misfits(self.document, schema, &value, name));
        let fields = value.as_object().cloned().unwrap_or_default();
        for told in schema["properties"].as_object().into_iter().flat_map(Map::keys) {
            if !fields.contains_key(told) {
                self.problems.push(format!("{name}: {told} is told, and the program does not have it"));
            }
        }
        fields
    }

    /// What the program answers: with everything in it, and with as little as there can be.
    pub(crate) fn answer<T: Serialize>(&mut self, name: &str, full: &T, bare: &T) {
        self.fills(name, full);
        let bare = serde_json::to_value(bare).expect("it serializes");
        let schema = self.schema(name);
        self.problems.extend(misfits(self.document, schema, &bare, name));
    }

    /// What the program reads: a field is required where it cannot be left out, and others are refused where the schema
    /// says so.
    pub(crate) fn request<T: Serialize + DeserializeOwned>(&mut self, name: &str, full: &T) {
        let fields = self.fills(name, full);
        let schema = self.schema(name);
        let reads = |fields: &Map<String, Value>| serde_json::from_value::<T>(Value::Object(fields.clone())).is_ok();
        assert!(reads(&fields), "{name} is read as it is written");
        for field in fields.keys() {
            let mut without = fields.clone();
            without.remove(field);
            if reads(&without) == texts(&schema["required"]).contains(&field.as_str()) {
                self.problems.push(format!("{name}: is {field} required or not?"));
            }
        }
        let mut more = fields;
        more.insert("not_a_field".to_owned(), json!(1));
        if reads(&more) == (schema["additionalProperties"] == false) {
            self.problems.push(format!("{name}: are other fields refused or not?"));
        }
    }

    /// The words of an enumeration, which serde tells to whoever sends another.
    pub(crate) fn words<T: DeserializeOwned + std::fmt::Debug>(&mut self, name: &str) {
        let error = serde_json::from_value::<T>(json!("not a word")).expect_err("no such word").to_string();
        let known: Vec<&str> = error.split("expected").nth(1).unwrap_or("").split('`').skip(1).step_by(2).collect();
        let told = texts(&self.schema(name)["enum"]);
        if told != known {
            self.problems.push(format!("{name}: {told:?} are told, the program knows {known:?}"));
        }
    }

    /// The parameters of a query.
    pub(crate) fn query(&mut self, path: &str, method: &str, full: &impl Serialize) {
        let value = serde_json::to_value(full).expect("it serializes");
        let fields: BTreeSet<&str> = value.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let parameters = self.document["paths"][path][method]["parameters"].as_array().into_iter().flatten();
        let told: BTreeSet<&str> = parameters
            .map(|parameter| match parameter["$ref"].as_str() {
                Some(reference) => self.document.pointer(reference.trim_start_matches('#')).expect("it is there"),
                None => parameter,
            })
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        if told != fields {
            self.problems.push(format!("{path}: its query takes {fields:?}, and {told:?} are told"));
        }
    }

    #[track_caller]
    pub(crate) fn finish(self) {
        assert!(self.problems.is_empty(), "{}", self.problems.join("\n"));
        // These are values of one field, of no type of their own.
        let plain = ["FileId", "Path", "Owner"];
        let schemas = self.document["components"]["schemas"].as_object().expect("schemas").keys();
        let left: Vec<_> =
            schemas.filter(|name| !self.compared.contains(*name) && !plain.contains(&name.as_str())).collect();
        assert!(left.is_empty(), "compare these with their types: {left:?}");
    }
}

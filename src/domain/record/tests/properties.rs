//! What users say of an entry.

use super::*;
use crate::domain::rows::{Property, PropertyRow, PropertySum};

fn property(name: &str, value: &str) -> Property {
    Property { name: name.to_owned(), value: value.to_owned() }
}

pub(super) fn rows(golden: &mut Golden) {
    golden.add("row.property", &PropertyRow("ein Wert, länger als nichts".to_owned()));
    golden.add("row.property.empty", &PropertyRow(String::new()));
    let properties = Some(PropertySum { names: 3, bytes: 65_536 });
    let directory = entry(EntryKind::Directory(Span { components: 2, bytes: 30 }));
    golden.add("row.directory.properties", &Entry { properties, ..directory });
    let restore = Restore {
        backup: digest(5),
        entries: 0,
        users: 0,
        grants: 0,
        done: false,
        contents: 0,
        unnamed: 0,
        versions: 0,
        trash: 0,
        retentions: 0,
        properties: 300,
    };
    golden.add("row.restore.properties", &restore);
}

pub(super) fn commands(golden: &mut Golden) {
    let (user, file) = (UserId(1), FileRef::Id(FileId(12)));
    let set = vec![property("{DAV:}displayname", "Plan"), property("empty", "")];
    let remove = vec!["old".to_owned(), "older".to_owned()];
    let precondition = Some(Precondition { exists: true, one_of: Vec::new() });
    let both = command::SetProperties {
        user,
        file: file.clone(),
        set,
        remove: remove.clone(),
        precondition,
        lock: Some(proof()),
    };
    golden.command("set_properties", both.into());
    let removed = command::SetProperties { user, file, set: Vec::new(), remove, precondition: None, lock: None };
    golden.command("set_properties.remove", removed.into());
    let done = command::RestoreDone {
        backup: digest(5),
        entries: 1,
        users: 2,
        grants: 3,
        contents: 4,
        versions: 5,
        trash: 6,
        retentions: 0,
        properties: 300,
    };
    golden.command("restore_done.properties", done.into());
}

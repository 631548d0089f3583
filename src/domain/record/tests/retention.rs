//! What directories keep otherwise than the policy says.

use super::*;
use crate::domain::rows::Retention;

pub(super) fn rows(golden: &mut Golden) {
    let own = Retention { owner: UserId(1), versions_keep: Some(0), versions_ms: None, trash_ms: Some(5) };
    golden.add("row.retention", &own);
    golden.add("row.retention.versions", &Retention { versions_ms: Some(1 << 40), trash_ms: None, ..own });
    let restore = Restore {
        backup: digest(5),
        entries: 1,
        users: 2,
        grants: 3,
        done: false,
        contents: 4,
        unnamed: 5,
        versions: 6,
        trash: 7,
        retentions: 9,
        properties: 0,
    };
    golden.add("row.restore.retention", &restore);
}

pub(super) fn commands(golden: &mut Golden) {
    let (user, directory) = (UserId(1), FileRef::Path(at()));
    let set = command::SetRetention {
        user,
        directory: directory.clone(),
        versions_keep: Some(10),
        versions_ms: Some(0),
        trash_ms: None,
    };
    golden.command("set_retention", set.into());
    let clear = command::SetRetention { user, directory, versions_keep: None, versions_ms: None, trash_ms: None };
    golden.command("set_retention.clear", clear.into());
    let done = command::RestoreDone {
        backup: digest(5),
        entries: 1,
        users: 2,
        grants: 3,
        contents: 4,
        versions: 5,
        trash: 6,
        retentions: 8,
        properties: 0,
    };
    golden.command("restore_done.retention", done.into());
}

/// What a restore counts.
pub(super) fn restored(golden: &mut Golden) {
    let restore = Restore {
        backup: digest(5),
        entries: 1,
        users: 2,
        grants: 3,
        done: true,
        contents: 4,
        unnamed: 5,
        versions: 6,
        trash: 7,
        retentions: 0,
        properties: 0,
    };
    golden.add("row.restore", &restore);
}

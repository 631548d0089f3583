//! What the program reads, each with all of its fields. They are written out, so that a new field does not compile
//! before it is here, and is not accepted here before it is in the document.

use ringmaster::protocol::{accounts, admin, api, properties, restore, retention, uploads, versions};

use super::schema::Shapes;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn file() -> api::FileName {
    api::FileName { file_id: Some(2), path: some("/a"), owner: some("ann") }
}

pub(crate) fn check(shapes: &mut Shapes<'_>) {
    let username = "ann".to_owned();
    of_accounts(shapes);
    shapes.request("Mkdir", &api::Mkdir { path: "/a".to_owned(), owner: some("ann") });
    shapes.request(
        "Move",
        &api::Move {
            from: "/a".to_owned(),
            to: "/b".to_owned(),
            owner: some("ann"),
            lock_token: some("1.00"),
            break_locks: true,
        },
    );
    shapes.request(
        "Delete",
        &api::Delete { file: file(), recursive: true, permanently: true, break_locks: true, lock_token: some("1.00") },
    );
    let permission = api::SharePermission::Read;
    shapes.request("Share", &api::Share { file: file(), username: username.clone(), permission });
    shapes.request("Unshare", &api::Unshare { file: file(), username });
    shapes.request("Lock", &api::Lock { file: file(), ttl_ms: Some(1000) });
    shapes.request("Renew", &api::Renew { lock_token: some("1.00"), ttl_ms: Some(1000) });
    shapes.request("BreakLock", &api::BreakLock { file: file() });
    shapes.request("Unlock", &api::Unlock { lock_token: some("1.00") });
    let mode = api::AccessMode::Read;
    shapes.request("AccessRequest", &api::AccessRequest { user_id: 1, file_id: 2, mode, lock_token: some("1.00") });
    shapes.words::<api::SharePermission>("SharePermission");
    shapes.words::<api::AccessMode>("AccessMode");
    for (path, method) in
        [("/stat", "get"), ("/retention", "get"), ("/properties", "get"), ("/update", "put"), ("/update", "post")]
    {
        shapes.query(path, method, &file());
    }
    of_versions(shapes);
    of_uploads(shapes);
    of_admins(shapes);
    of_restores(shapes);
}

fn of_accounts(shapes: &mut Shapes<'_>) {
    let (username, password) = ("ann".to_owned(), "12345678".to_owned());
    let (setup_code, invite) = (some("ABCDE"), some("abcde"));
    let new_password = some("87654321");
    shapes.request("LogIn", &accounts::LogIn { username: username.clone(), password: password.clone(), new_password });
    shapes.request("AddUser", &accounts::AddUser { username: username.clone() });
    shapes.request("ResetUser", &accounts::ResetUser { username: username.clone() });
    let (disabled, admin) = (Some(true), Some(true));
    shapes.request("SetUser", &accounts::SetUser { username: username.clone(), disabled, admin });
    shapes.request("RemoveUser", &accounts::RemoveUser { username: username.clone(), heir: some("bob") });
    shapes.request("AdminReset", &accounts::AdminReset { username: username.clone(), password: password.clone() });
    shapes.request("Signup", &accounts::Signup { username, password, setup_code, invite });
    shapes.request("MakeInvite", &accounts::MakeInvite { ttl_ms: Some(60_000) });
    let (old_password, new_password) = ("12345678".to_owned(), "87654321".to_owned());
    shapes.request("ChangePassword", &accounts::ChangePassword { old_password, new_password });
    shapes.request("EndSessions", &accounts::EndSessions { session_id: some("00"), others: true, all: true });
    shapes.request("LeaveShare", &accounts::LeaveShare { file: file() });
    shapes.request("RevokeInvite", &accounts::RevokeInvite { invite_id: "00".repeat(32) });
    shapes.words::<accounts::SignupMode>("SignupMode");
}

fn of_uploads(shapes: &mut Shapes<'_>) {
    let api::FileName { file_id, path, owner } = file();
    let target = uploads::Target { file_id, path: path.clone(), owner: owner.clone(), update: true };
    shapes.query("/uploads", "post", &target);
    let (upload_id, lock_token) = ("00".repeat(16), some("1.00"));
    shapes.request("Finish", &uploads::Finish { upload_id, file_id, path, owner, update: true, lock_token });
    let api::FileName { file_id, path, owner } = file();
    let (content_type, lock_token) = ("text/plain".to_owned(), some("1.00"));
    let begin = uploads::BeginParts { file_id, path, owner, update: true, content_type, lock_token };
    shapes.request("BeginParts", &begin);
    let named = uploads::NamedPart { part: 1, sha256: "00".repeat(32) };
    shapes.request("NamedPart", &named);
    let uploads::BeginParts { file_id, path, owner, lock_token, .. } = begin;
    let complete = uploads::CompleteParts { parts: vec![named], file_id, path, owner, update: true, lock_token };
    shapes.request("CompleteParts", &complete);
}

fn of_versions(shapes: &mut Shapes<'_>) {
    let api::FileName { file_id, path, owner } = file();
    let read = versions::ReadName { file_id, path, owner, version: Some(1) };
    shapes.query("/read", "get", &read);
    shapes.query("/read", "head", &read);
    let lock_token = some("1.00");
    shapes.request("RestoreVersion", &versions::RestoreVersion { file: file(), version: 1, lock_token });
    shapes.request("RestoreTrashed", &versions::RestoreTrashed { file_id: 2, to: some("/b") });
    shapes.request("EmptyTrash", &versions::EmptyTrash { file_id: Some(2) });
    shapes.request("Copy", &versions::Copy { file: file(), to: "/b".to_owned(), to_owner: some("bob") });
    let api::FileName { file_id, path, owner } = file();
    let (versions_keep, versions_ms, trash_ms) = (Some(1), Some(1), Some(0));
    let set = retention::SetRetention { file_id, path, owner, versions_keep, versions_ms, trash_ms };
    shapes.request("SetRetention", &set);
    let set = vec![properties::Property { name: "a".to_owned(), value: "b".to_owned() }];
    let (remove, lock_token) = (vec!["c".to_owned()], some("1.00"));
    shapes.request("SetProperties", &properties::SetProperties { file: file(), set, remove, lock_token });
    let quota = versions::Quota { username: "ann".to_owned(), max_bytes: Some(1), max_files: Some(0) };
    shapes.request("Quota", &quota);
}

fn of_admins(shapes: &mut Shapes<'_>) {
    shapes.request(
        "PolicyChange",
        &admin::PolicyChange {
            copies: Some(2),
            garbage_linger_ms: Some(1),
            garbage_grace_ms: Some(1),
            operation_ttl_ms: Some(1),
            session_ttl_ms: Some(1),
            receipt_ttl_ms: Some(1),
            rebalance_percent: Some(1),
            versions_keep: Some(1),
            versions_ms: Some(1),
            trash_ms: Some(1),
            quota_bytes: Some(1),
            quota_files: Some(1),
            extent_bytes: Some(4_194_304),
            part_min_bytes: Some(1),
            signup_mode: Some(accounts::SignupMode::Open),
            audit_ms: Some(1),
            audit_bytes: Some(1),
        },
    );
    shapes.request("Drain", &admin::Drain { server_id: 1, cancel: true });
    shapes.request("Remove", &admin::Remove { server_id: 1 });
    shapes.request("Rebalance", &admin::Rebalance { stop: true });
    shapes.request("Scrub", &admin::Scrub { server_id: Some(1) });
    let hold_id = "00".repeat(16);
    shapes.request("Hold", &admin::Hold { hold_id: hold_id.clone(), ttl_ms: 1000, renew: true });
    shapes.request("Release", &admin::Release { hold_id: hold_id.clone() });
    shapes.request(
        "AddMember",
        &admin::AddMember { node_id: 4, url: "http://a".to_owned(), peer: "http://b".to_owned() },
    );
    shapes.request(
        "SetAddress",
        &admin::SetAddress { node_id: 4, url: "http://a".to_owned(), peer: "http://b".to_owned() },
    );
    shapes.request("RemoveMember", &admin::RemoveMember { node_id: 4, force: true });
    shapes.request("Transfer", &admin::Transfer { node_id: Some(2) });
    let asked = admin::JoinTokenAsked { ttl_ms: Some(60_000), replace: Some(ringmaster::domain::ServerUuid(7)) };
    shapes.request("JoinTokenAsked", &asked);
    shapes.query("/admin/backup/blob", "get", &admin::BlobOfBackup { blob_id: hold_id, size: 1, offset: 1 });
}

fn of_restores(shapes: &mut Shapes<'_>) {
    let backup = "00".repeat(32);
    let row = || restore::Row { table: "entries".to_owned(), key: String::new(), value: String::new() };
    shapes.request("RestoreRow", &row());
    shapes.request("RestoreRows", &restore::Rows { backup: backup.clone(), rows: vec![row()], taken_at: 1 });
    shapes.request("RestoreContents", &restore::Contents { content_ids: vec!["0".repeat(32)] });
    shapes.request(
        "RestoreDone",
        &restore::Done {
            backup: backup.clone(),
            entries: 1,
            users: 1,
            grants: 1,
            contents: 1,
            versions: 1,
            trash: 1,
            retentions: 1,
            properties: 1,
        },
    );
    shapes.query(
        "/restore/content",
        "put",
        &restore::Content { backup, content_id: "0".repeat(32), row: String::new() },
    );
}

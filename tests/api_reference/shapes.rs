//! What the program answers, each with all of its fields and with as few as there can be: written out as in `requests`.

use ringmaster::protocol::problem::{Code, Problem};
use ringmaster::protocol::{accounts, admin, api, properties, restore, retention, uploads, versions};

use super::schema::Shapes;

const TIME: &str = "2026-11-23T05:00:00.000Z";

fn time() -> String {
    TIME.to_owned()
}

fn text() -> String {
    "text".to_owned()
}

pub(crate) fn check(shapes: &mut Shapes<'_>) {
    let problem = Problem::new(Code::Locked, "wait", "1");
    shapes.answer("Problem", &problem, &problem);
    of_accounts(shapes);
    of_files(shapes);
    of_versions(shapes);
    of_uploads(shapes);
    of_locks(shapes);
    of_nodes(shapes);
    of_servers(shapes);
    of_replication(shapes);
    of_admins(shapes);
}

fn of_accounts(shapes: &mut Shapes<'_>) {
    let (invite_id, expires_at) = ("00".repeat(32), time());
    let made = accounts::MadeInvite { invite: text(), invite_id: invite_id.clone(), expires_at: time() };
    shapes.answer("MadeInvite", &made, &made);
    let invite = accounts::InviteInfo { invite_id, made_by: text(), expires_at };
    shapes.answer("InviteInfo", &invite, &invite);
    let code = accounts::UserCode { username: text(), code: text(), expires_at: time() };
    shapes.answer("UserCode", &code, &code);
    let entry = accounts::AuditEntry {
        number: 1,
        at: time(),
        by: Some(text()),
        what: text(),
        on: text(),
        detail: text(),
        from: text(),
        hash: "00".repeat(32),
    };
    shapes.answer("AuditEntry", &entry, &accounts::AuditEntry { by: None, ..entry.clone() });
    let audit = accounts::Audit { entries: vec![entry], next: Some(1) };
    shapes.answer("Audit", &audit, &accounts::Audit { entries: Vec::new(), next: None });
    let session = accounts::SessionInfo {
        session_id: text(),
        created_at: time(),
        seen_at: time(),
        expires_at: time(),
        from: text(),
        agent: text(),
        current: true,
    };
    shapes.answer("SessionInfo", &session, &session);
    let sessions = accounts::Sessions { sessions: vec![session] };
    shapes.answer("Sessions", &sessions, &accounts::Sessions { sessions: Vec::new() });
    let invites = accounts::Invites { invites: vec![invite] };
    shapes.answer("Invites", &invites, &accounts::Invites { invites: Vec::new() });
}

fn of_files(shapes: &mut Shapes<'_>) {
    let account = api::Account { user_id: 1, username: text() };
    shapes.answer("Account", &account, &account);
    let login = api::Login { token: text(), user_id: 1, expires_at: time() };
    shapes.answer("Login", &login, &login);
    of_parts(shapes);
    let replica = api::ReplicaInfo { server_id: 1, role: api::ReplicaRole::Primary, counts: true };
    shapes.answer("ReplicaInfo", &replica, &replica);
    let lock = api::LockInfo { owner: text(), fence: 7, expires_at: time() };
    shapes.answer("LockInfo", &lock, &lock);
    let file = api::Stat {
        file_id: 2,
        path: text(),
        kind: api::Kind::File,
        owner: text(),
        owner_id: 1,
        permission: api::PermissionName::Owner,
        version: Some(1),
        size: Some(0),
        sha256: Some("00".repeat(32)),
        content_type: Some(text()),
        created_at: time(),
        modified_at: time(),
        replicas: Some(vec![replica]),
        lock: Some(lock),
    };
    let directory = api::Stat {
        kind: api::Kind::Directory,
        version: None,
        size: None,
        sha256: None,
        content_type: None,
        replicas: None,
        lock: None,
        ..file.clone()
    };
    shapes.answer("Stat", &file, &directory);
    let listing = api::Listing { files: vec![directory], next_cursor: Some(text()) };
    shapes.answer("Listing", &listing, &api::Listing { files: Vec::new(), next_cursor: None });
    let granted = api::Granted { file_id: 2, username: text(), permission: api::SharePermission::Write };
    shapes.answer("Granted", &granted, &granted);
    shapes.words::<api::Kind>("Kind");
    shapes.words::<api::PermissionName>("PermissionName");
    shapes.words::<api::ReplicaRole>("ReplicaRole");
}

fn of_uploads(shapes: &mut Shapes<'_>) {
    let upload = uploads::UploadInfo {
        upload_id: "00".repeat(16),
        offset: 1,
        length: Some(2),
        stored: 0,
        sha256: "00".repeat(32),
        content_type: text(),
        path: Some(text()),
        owner: Some(text()),
        file_id: Some(2),
        update: true,
        parts: Some(3),
        part_of: Some(text()),
        expires_at: time(),
    };
    let least = uploads::UploadInfo {
        length: None,
        path: None,
        owner: None,
        file_id: None,
        parts: None,
        part_of: None,
        ..upload.clone()
    };
    shapes.answer("UploadInfo", &upload, &least);
    let page = uploads::Uploads { uploads: vec![upload], next_cursor: Some(text()) };
    shapes.answer("Uploads", &page, &uploads::Uploads { uploads: Vec::new(), next_cursor: None });
    let replica = api::ReplicaInfo { server_id: 1, role: api::ReplicaRole::Primary, counts: true };
    let extent = uploads::ExtentInfo { offset: 0, size: 1, sha256: "00".repeat(32), replicas: vec![replica] };
    let bare = uploads::ExtentInfo { replicas: Vec::new(), ..extent.clone() };
    shapes.answer("ExtentInfo", &extent, &bare);
    let page = uploads::Extents { extents: vec![extent], next_cursor: Some(text()) };
    shapes.answer("Extents", &page, &uploads::Extents { extents: Vec::new(), next_cursor: None });
}

fn of_parts(shapes: &mut Shapes<'_>) {
    let upload = uploads::PartsInfo {
        upload_id: "00".repeat(16),
        parts: 1,
        bytes: 2,
        completing: true,
        content_type: text(),
        path: Some(text()),
        owner: Some(text()),
        file_id: Some(2),
        update: true,
        expires_at: time(),
    };
    let least = uploads::PartsInfo { path: None, owner: None, file_id: None, ..upload.clone() };
    shapes.answer("PartsInfo", &upload, &least);
    let part = uploads::PartInfo { part: 1, size: 2, sha256: "00".repeat(32), put_at: Some(time()) };
    shapes.answer("PartInfo", &part, &uploads::PartInfo { put_at: None, ..part.clone() });
    let page = uploads::PartsPage { upload: least.clone(), parts: vec![part], next_cursor: Some(text()) };
    shapes.answer("PartsPage", &page, &uploads::PartsPage { upload: least, parts: Vec::new(), next_cursor: None });
}

fn of_versions(shapes: &mut Shapes<'_>) {
    let old = versions::VersionInfo {
        version: 1,
        size: 0,
        sha256: Some("00".repeat(32)),
        content_type: text(),
        made_by: text(),
        made_at: time(),
        kept_until: Some(time()),
    };
    let present = versions::VersionInfo { sha256: None, kept_until: None, ..old.clone() };
    shapes.answer("VersionInfo", &old, &present);
    let page = |versions, next_cursor| versions::Versions { versions, next_cursor };
    shapes.answer("Versions", &page(vec![present], Some(text())), &page(Vec::new(), None));
    let file = versions::TrashEntry {
        file_id: 2,
        path: text(),
        kind: api::Kind::File,
        size: Some(0),
        deleted_by: text(),
        deleted_at: time(),
        kept_until: time(),
    };
    let directory = versions::TrashEntry { kind: api::Kind::Directory, size: None, ..file.clone() };
    shapes.answer("TrashEntry", &file, &directory);
    let page = |entries, next_cursor| versions::Trash { entries, next_cursor };
    shapes.answer("Trash", &page(vec![directory], Some(text())), &page(Vec::new(), None));
    let emptied = versions::Emptied { removed: 100, more: true };
    shapes.answer("Emptied", &emptied, &emptied);
    let usage = versions::Usage { bytes: 1, files: 1, max_bytes: 0, max_files: 0 };
    shapes.answer("Usage", &usage, &usage);
    let user = |bound| versions::UserInfo {
        user_id: 1,
        username: text(),
        admin: true,
        created_at: time(),
        usage,
        max_bytes: bound,
        max_files: bound,
        disabled: true,
        heir: bound.map(|_| text()),
    };
    shapes.answer("UserInfo", &user(Some(1)), &user(None));
    let page = |users, next_cursor| versions::Users { users, next_cursor };
    let property = properties::Property { name: text(), value: text() };
    shapes.answer("Property", &property, &property);
    let list = |properties| properties::Properties { file_id: 2, properties };
    shapes.answer("Properties", &list(vec![property]), &list(Vec::new()));
    let own = retention::OwnRetention { versions_keep: Some(1), versions_ms: Some(1), trash_ms: Some(0) };
    shapes.answer("OwnRetention", &own, &retention::OwnRetention::default());
    let effective = retention::Retained { versions_keep: 1, versions_ms: 1, trash_ms: 1 };
    shapes.answer("Retained", &effective, &effective);
    let one = retention::Retention { file_id: 2, path: text(), own, effective };
    shapes.answer("Retention", &one, &one);
    let all = |directories| retention::Retentions { directories };
    shapes.answer("Retentions", &all(vec![one]), &all(Vec::new()));
    shapes.answer("Users", &page(vec![user(None)], Some(text())), &page(Vec::new(), None));
}

fn of_locks(shapes: &mut Shapes<'_>) {
    let locked = api::Locked { lock_token: text(), fence: 7, expires_at: time() };
    shapes.answer("Locked", &locked, &locked);
    let held = api::HeldLock { file_id: 2, path: text(), fence: 7, expires_at: time() };
    shapes.answer("HeldLock", &held, &held);
    shapes.answer("HeldLocks", &api::HeldLocks { locks: vec![held] }, &api::HeldLocks { locks: Vec::new() });
    let access = |version| api::AccessAnswer { allowed: true, reason: text(), version, fence: 7 };
    shapes.answer("AccessAnswer", &access(Some(1)), &access(None));
}

fn of_nodes(shapes: &mut Shapes<'_>) {
    let node = api::NodeInfo {
        node_id: 1,
        role: api::NodeRole::Leader,
        url: text(),
        peer: text(),
        reachable: false,
        last_seen: Some(time()),
        last_log_index: Some(1),
        applied_index: Some(1),
        lag: Some(0),
        snapshot_index: Some(1),
        disk_free: Some(1),
        room: api::NodeRoom::Low,
        sync_ms: Some(1),
        clock_off_ms: Some(1),
        version: text(),
        trouble: Some(text()),
    };
    let silent = api::NodeInfo {
        last_seen: None,
        last_log_index: None,
        applied_index: None,
        lag: None,
        snapshot_index: None,
        disk_free: None,
        sync_ms: None,
        clock_off_ms: None,
        version: String::new(),
        trouble: None,
        ..node.clone()
    };
    shapes.answer("NodeInfo", &node, &silent);
    let cluster = api::Cluster {
        cluster_id: text(),
        name: text(),
        node_id: 1,
        leader_id: Some(1),
        term: 1,
        schema: 1,
        directory_full: false,
        nodes: vec![node],
    };
    shapes.answer("Cluster", &cluster, &api::Cluster { leader_id: None, nodes: Vec::new(), ..cluster.clone() });
    shapes.words::<api::NodeRole>("NodeRole");
    shapes.words::<api::NodeRoom>("NodeRoom");
}

fn of_servers(shapes: &mut Shapes<'_>) {
    let checking = api::Checking { copies: 1, of: 2, damaged: 0 };
    shapes.answer("Checking", &checking, &checking);
    let server = api::ServerInfo {
        server_id: 1,
        url: text(),
        state: api::ServerState::Down,
        epoch: 1,
        successor: Some(2),
        primaries: 1,
        backups: 1,
        bytes: 1,
        capacity: 1,
        zone: text(),
        down_since: Some(time()),
        stale: 0,
        leaving: false,
        drained: false,
        moving: 0,
        held_up: Some(text()),
        checking: Some(checking),
        full: true,
        cannot_write: Some(text()),
    };
    let alone = api::ServerInfo {
        successor: None,
        down_since: None,
        cannot_write: None,
        held_up: None,
        checking: None,
        ..server.clone()
    };
    shapes.answer("ServerInfo", &server, &alone);
    let ring = |servers| api::Ring { copies: 2, order: vec![1], servers };
    shapes.answer("Ring", &ring(vec![server]), &ring(Vec::new()));
    shapes.words::<api::ServerState>("ServerState");
}

fn of_replication(shapes: &mut Shapes<'_>) {
    let sweep = |through| api::SweepInfo { kind: api::SweepName::Copies, state: api::SweepState::Running, through };
    shapes.answer("SweepInfo", &sweep(Some(text())), &sweep(None));
    let file = |name: Option<String>| api::FileAtRisk { file_id: 2, copies: 1, owner: name.clone(), path: name };
    shapes.answer("FileAtRisk", &file(Some(text())), &file(None));
    let listed = |until: Option<String>| api::ToDelete {
        server_id: 1,
        copies: 1,
        bytes: until.as_ref().map(|_| 1),
        first_at: time(),
        last_at: time(),
        held_until: until,
    };
    shapes.answer("ToDelete", &listed(Some(time())), &listed(None));
    let replication = api::Replication {
        pending: 1,
        in_flight: 1,
        bytes_per_second: 1,
        seconds_left: Some(1),
        oldest_age_ms: Some(1),
        last_run_at: Some(time()),
        by_copies: vec![0, 1],
        servers_down: 1,
        to_verify: 1,
        to_move: 1,
        sweeps: vec![sweep(None)],
        garbage: 1,
        to_delete: vec![listed(None)],
        backup_until: Some(time()),
        at_risk: vec![file(None)],
        held_up: Some(text()),
    };
    shapes.answer("Replication", &replication, &api::Replication::default());
    shapes.words::<api::SweepName>("SweepName");
    shapes.words::<api::SweepState>("SweepState");
}

fn of_admins(shapes: &mut Shapes<'_>) {
    let policy = admin::Policy {
        copies: 2,
        garbage_linger_ms: 1,
        garbage_grace_ms: 1,
        operation_ttl_ms: 1,
        session_ttl_ms: 1,
        receipt_ttl_ms: 1,
        rebalance_percent: 1,
        versions_keep: 1,
        versions_ms: 1,
        trash_ms: 1,
        quota_bytes: 1,
        quota_files: 1,
        extent_bytes: 4_194_304,
        part_min_bytes: 5_242_880,
        signup_mode: accounts::SignupMode::Open,
        audit_ms: 1,
        audit_bytes: 1,
        held_up: Some(text()),
    };
    shapes.answer("Policy", &policy, &admin::Policy { held_up: None, ..policy.clone() });
    let failure = admin::ScrubFailure { server_id: 1, reason: text() };
    shapes.answer("ScrubFailure", &failure, &failure);
    let scrubbing = admin::Scrubbing { started: vec![1], failed: vec![failure] };
    shapes.answer("Scrubbing", &scrubbing, &admin::Scrubbing::default());
    let token = ringmaster::protocol::join::JoinToken {
        authority: ringmaster::domain::PublicKey([1; 32]),
        id: ringmaster::domain::TokenId(2),
        ends_ms: 3,
        replaces: None,
    };
    let secret = ringmaster::protocol::secret::ClusterSecret::from_bytes([4; 32]);
    let made = admin::JoinTokenMade { token: token.sign(&secret), expires_at: time() };
    shapes.answer("JoinTokenMade", &made, &made);
    let progress = |number| admin::MemberProgress {
        node_id: 4,
        stage: admin::MemberStage::CatchingUp,
        done: false,
        lag: number,
        snapshot_sent: number,
        snapshot_bytes: number,
    };
    shapes.answer("MemberProgress", &progress(Some(1)), &progress(None));
    shapes.words::<admin::MemberStage>("MemberStage");
    let came = restore::Came {
        entries: 1,
        users: 1,
        grants: 1,
        contents: 1,
        versions: 1,
        trash: 1,
        retentions: 1,
        properties: 1,
    };
    let status = |backup: Option<String>| restore::Status {
        came: backup.as_ref().map(|_| came),
        state: restore::State::New,
        backup,
        cluster_id: text(),
        cluster_name: text(),
        schema_version: 1,
    };
    shapes.answer("RestoreStatus", &status(Some("00".repeat(32))), &status(None));
    shapes.words::<restore::State>("RestoreState");
}

//! Every command, with anything in its fields.

use ringmaster::domain::rows::SweepKind;
use ringmaster::domain::terms::{NewContent, NewPiece, RestoredRow};
use ringmaster::domain::{
    ClusterId, ClusterTime, Command, HoldId, PublicKey, Schema, ServerUuid, Sha256, Table, TokenId, Version, command,
};

use crate::source::Source;

/// How many commands there are. `place` knows each by its name.
pub(crate) const COMMANDS: usize = 69;

/// Does not compile until a new command is made below, too.
pub(crate) fn place(command: &Command) -> usize {
    match command {
        Command::Bootstrap(_) => 0,
        Command::SetPolicy(_) => 1,
        Command::Signup(_) => 2,
        Command::OpenSession(_) => 3,
        Command::CloseSession(_) => 4,
        Command::Mkdir(_) => 5,
        Command::Write(_) => 6,
        Command::Update(_) => 7,
        Command::Move(_) => 8,
        Command::Delete(_) => 9,
        Command::Share(_) => 10,
        Command::Unshare(_) => 11,
        Command::Lock(_) => 12,
        Command::Renew(_) => 13,
        Command::Unlock(_) => 14,
        Command::Expire(_) => 15,
        Command::Reap(_) => 16,
        Command::RegisterServer(_) => 17,
        Command::ServerDown(_) => 18,
        Command::ServerFull(_) => 19,
        Command::Rehome(_) => 20,
        Command::Condemn(_) => 21,
        Command::Deleted(_) => 22,
        Command::Report(_) => 23,
        Command::Drain(_) => 24,
        Command::Undrain(_) => 25,
        Command::RemoveServer(_) => 26,
        Command::StartSweep(_) => 27,
        Command::StopSweep(_) => 28,
        Command::AdvanceSweep(_) => 29,
        Command::Hold(_) => 30,
        Command::Release(_) => 31,
        Command::Restore(_) => 32,
        Command::RestoreContent(_) => 33,
        Command::RestoreDone(_) => 34,
        Command::Recount(_) => 35,
        Command::RaiseSchema(_) => 36,
        Command::CopyFile(_) => 37,
        Command::RestoreVersion(_) => 38,
        Command::RestoreTrashed(_) => 39,
        Command::EmptyTrash(_) => 40,
        Command::SetQuota(_) => 41,
        Command::BreakLock(_) => 42,
        Command::BeginUpload(_) => 43,
        Command::AddExtents(_) => 44,
        Command::FinishUpload(_) => 45,
        Command::EndUpload(_) => 46,
        Command::PinContent(_) => 47,
        Command::SetRetention(_) => 48,
        Command::SetProperties(_) => 49,
        Command::BeginParts(_) => 50,
        Command::PutPart(_) => 51,
        Command::CompleteParts(_) => 52,
        Command::AddPieces(_) => 53,
        Command::AdmitKey(_) => 54,
        Command::Enroll(_) => 55,
        Command::MakeInvite(_) => 56,
        Command::RevokeInvite(_) => 57,
        Command::ResetAdmin(_) => 58,
        Command::BeginSession(_) => 59,
        Command::TouchSession(_) => 60,
        Command::SetPassword(_) => 61,
        Command::EndSessions(_) => 62,
        Command::AddAccount(_) => 63,
        Command::SetAccount(_) => 64,
        Command::ResetPassword(_) => 65,
        Command::RemoveAccount(_) => 66,
        Command::HandOver(_) => 67,
        Command::LeaveShare(_) => 68,
    }
}

fn kind(s: &mut Source<'_>) -> SweepKind {
    if s.flag() { SweepKind::Copies } else { SweepKind::Balance }
}

pub(crate) fn command(s: &mut Source<'_>) -> Command {
    match s.byte() as usize % COMMANDS {
        0 => command::Bootstrap { cluster_id: ClusterId(1), name: s.text(), policy: s.policy() }.into(),
        1 => command::SetPolicy(s.policy()).into(),
        2 => command::Signup { username: s.text(), password_hash: s.text() }.into(),
        3 => command::OpenSession { user: s.user(), token_hash: s.sha256() }.into(),
        4 => command::CloseSession { token_hash: s.sha256() }.into(),
        5 => command::Mkdir { user: s.user(), at: s.at() }.into(),
        6 => command::Write { user: s.user(), at: s.at(), content: s.content() }.into(),
        7 => command::Update {
            user: s.user(),
            file: s.file_ref(),
            content: s.content(),
            precondition: s.precondition(),
            lock: s.lock_proof(),
        }
        .into(),
        8 => command::Move {
            user: s.user(),
            from: s.file_ref(),
            to: s.at(),
            lock: s.lock_proof(),
            break_locks: s.flag(),
        }
        .into(),
        9 => command::Delete {
            user: s.user(),
            file: s.file_ref(),
            recursive: s.flag(),
            precondition: s.precondition(),
            lock: s.lock_proof(),
            permanently: s.flag(),
            break_locks: s.flag(),
        }
        .into(),
        10 => command::Share { user: s.user(), file: s.file_ref(), with: s.text(), permission: s.permission() }.into(),
        11 => command::Unshare { user: s.user(), file: s.file_ref(), with: s.text() }.into(),
        12 => command::Lock { user: s.user(), file: s.file_ref(), ttl_ms: ttl(s), mac_hash: s.sha256() }.into(),
        13 => command::Renew { user: s.user(), lock: s.proof(), ttl_ms: ttl(s) }.into(),
        14 => command::Unlock { user: s.user(), lock: s.proof() }.into(),
        15 => command::Expire { limit: s.small() }.into(),
        16 => command::Reap { limit: s.small(), unread_before: if s.one_in(4) { s.time() } else { ClusterTime(0) } }
            .into(),
        17 => command::RegisterServer {
            uuid: ServerUuid(s.pick(8).into()),
            url: s.text(),
            zone: s.text(),
            capacity: s.number(),
            last: s.maybe(Source::incarnation),
            next: s.maybe(Source::incarnation),
        }
        .into(),
        18 => command::ServerDown { server_id: s.server(), epoch: s.epoch() }.into(),
        19 => command::ServerFull { server_id: s.server(), epoch: s.epoch(), full: s.flag() }.into(),
        20 => command::Rehome { changes: s.many(Source::home) }.into(),
        21 => command::Condemn { copies: s.many(Source::copy) }.into(),
        22 => command::Deleted { copies: s.many(Source::copy) }.into(),
        23 => command::Report { copies: s.many(Source::copy) }.into(),
        24 => command::Drain { server_id: s.server() }.into(),
        25 => command::Undrain { server_id: s.server() }.into(),
        26 => command::RemoveServer { server_id: s.server() }.into(),
        27 => command::StartSweep { kind: kind(s) }.into(),
        28 => command::StopSweep { kind: kind(s) }.into(),
        29 => command::AdvanceSweep {
            kind: kind(s),
            since: ClusterTime(s.number()),
            through: s.maybe(Source::place),
            done: s.flag(),
            short: s.flag(),
            owed: s.many(Source::place),
        }
        .into(),
        30 => command::Hold { hold_id: HoldId(s.pick(20).into()), ttl_ms: ttl(s), renew: s.flag() }.into(),
        31 => command::Release { hold_id: HoldId(s.pick(20).into()) }.into(),
        32 => command::Restore { backup: s.sha256(), rows: s.many(junk), taken_at: s.time() }.into(),
        33 => {
            let (backup, content_id) = (s.sha256(), s.content_id());
            command::RestoreContent { backup, content_id, row: bytes(s), content: s.content() }.into()
        }
        34 => {
            let (entries, users, grants) = (s.number(), s.number(), s.number());
            let (contents, versions, trash, retentions) = (s.number(), s.number(), s.number(), s.number());
            let (backup, properties) = (s.sha256(), s.number());
            command::RestoreDone { backup, entries, users, grants, contents, versions, trash, retentions, properties }
                .into()
        }
        35 => command::Recount { server_id: s.server() }.into(),
        37 => command::CopyFile { user: s.user(), from: s.file_ref(), to: s.at() }.into(),
        38 => command::RestoreVersion {
            user: s.user(),
            file: s.file_ref(),
            version: Version(if s.one_in(8) { s.number() } else { 1 + s.pick(4) }),
            precondition: s.precondition(),
            lock: s.lock_proof(),
        }
        .into(),
        39 => {
            let to = s.one_in(4).then(|| s.path());
            command::RestoreTrashed { user: s.user(), file_id: s.file(), to }.into()
        }
        40 => {
            let file_id = s.flag().then(|| s.file());
            command::EmptyTrash { user: s.user(), file_id }.into()
        }
        41 => {
            let (max_bytes, max_files) = (s.one_in(4).then(|| s.number()), s.one_in(4).then(|| s.number()));
            command::SetQuota { user: s.user(), max_bytes, max_files }.into()
        }
        42 => command::BreakLock { user: s.user(), file: s.file_ref() }.into(),
        43 => command::BeginUpload {
            user: s.user(),
            upload_id: s.content_id(),
            content_type: if s.one_in(8) { s.text() } else { String::new() },
            length: s.one_in(4).then(|| s.number()),
            idle_ms: ttl(s),
            hash: s.hash_state(),
            purpose: s.purpose(),
        }
        .into(),
        44 => command::AddExtents {
            user: s.user(),
            upload_id: s.content_id(),
            at: s.offset(),
            had: if s.one_in(4) { s.pick(64) } else { 0 },
            extents: s.many(Source::extent),
            hash: s.hash_state(),
            tail: if s.one_in(4) { bytes(s) } else { Vec::new() },
            length: s.one_in(16).then(|| s.number()),
        }
        .into(),
        45 => command::FinishUpload {
            user: s.user(),
            upload_id: s.content_id(),
            size: s.offset(),
            sha256: s.maybe(Source::sha256),
            losses: if s.one_in(4) { s.number() } else { s.pick(3) },
            purpose: s.one_in(4).then(|| s.purpose()),
        }
        .into(),
        46 => command::EndUpload { user: s.user(), upload_id: s.content_id() }.into(),
        47 => command::PinContent { user: s.user(), content_id: s.content_id(), ttl_ms: ttl(s) }.into(),
        48 => command::SetRetention {
            user: s.user(),
            directory: s.file_ref(),
            versions_keep: s.maybe(Source::small),
            versions_ms: s.maybe(Source::number),
            trash_ms: s.maybe(Source::number),
        }
        .into(),
        49 => command::SetProperties {
            user: s.user(),
            file: s.file_ref(),
            set: s.many(Source::property),
            remove: s.many(Source::name),
            precondition: s.precondition(),
            lock: s.lock_proof(),
        }
        .into(),
        50 => command::BeginParts {
            user: s.user(),
            upload_id: s.content_id(),
            content_type: if s.one_in(8) { s.text() } else { String::new() },
            idle_ms: ttl(s),
            purpose: s.purpose(),
        }
        .into(),
        51 => {
            let content = NewContent { content_type: String::new(), ..s.content() };
            command::PutPart { user: s.user(), upload_id: s.content_id(), number: part_number(s), content }.into()
        }
        52 => command::CompleteParts {
            user: s.user(),
            upload_id: s.content_id(),
            revision: s.pick(4),
            digest: Sha256([s.pick(2) as u8; 32]),
            pieces: s.pick(4),
            size: if s.one_in(4) { s.number() } else { s.pick(200) },
            purpose: s.one_in(4).then(|| s.purpose()),
        }
        .into(),
        53 => command::AddPieces {
            user: s.user(),
            upload_id: s.content_id(),
            digest: Sha256([s.pick(2) as u8; 32]),
            pieces: s.many(|s| NewPiece { number: part_number(s), content_id: s.content_id() }),
        }
        .into(),
        54 => command::AdmitKey {
            token: TokenId(s.pick(6).into()),
            ttl_ms: if s.one_in(6) { s.number() } else { s.pick(100_000) },
            uuid: ServerUuid(s.pick(5).into()),
            key: PublicKey([s.pick(3) as u8; 32]),
            replaces: s.flag(),
        }
        .into(),
        55 => command::Enroll { username: s.text(), password_hash: s.text(), by: s.admission() }.into(),
        56 => {
            command::MakeInvite { user: s.user(), hash: s.sha256(), ttl_ms: s.number().saturating_mul(60_000) }.into()
        }
        57 => command::RevokeInvite { user: s.user(), hash: s.sha256() }.into(),
        58 => command::ResetAdmin { username: s.text(), password_hash: s.text() }.into(),
        59 => command::BeginSession {
            user: s.user(),
            token_hash: s.sha256(),
            password_hash: if s.one_in(4) { s.text() } else { "hash".to_owned() },
            from: s.text(),
            agent: s.text(),
        }
        .into(),
        60 => command::TouchSession { token_hash: s.sha256() }.into(),
        61 => {
            let (user, proof, keep) = (s.user(), s.password_proof(), s.maybe(Source::sha256));
            // Often the same again, so that what goes by it goes on.
            let password_hash = if s.one_in(4) { s.text() } else { "hash".to_owned() };
            command::SetPassword { user, password_hash, proof, keep }.into()
        }
        62 => command::EndSessions { user: s.user(), keep: s.maybe(Source::sha256) }.into(),
        63 => {
            let (user, username, code_hash) = (s.user(), s.text(), s.sha256());
            command::AddAccount { user, username, code_hash, ttl_ms: ttl(s) }.into()
        }
        64 => {
            let (user, username) = (s.user(), s.text());
            // Most of the other commands are of users who may act.
            let disabled = s.one_in(4).then(|| s.one_in(4));
            command::SetAccount { user, username, disabled, admin: s.maybe(Source::flag) }.into()
        }
        65 => {
            let (user, username, code_hash) = (s.user(), s.text(), s.sha256());
            command::ResetPassword { user, username, code_hash, ttl_ms: ttl(s) }.into()
        }
        66 => command::RemoveAccount { user: s.user(), username: s.text(), heir: s.maybe(Source::text) }.into(),
        67 => command::HandOver { limit: s.small() }.into(),
        68 => command::LeaveShare { user: s.user(), file: s.file_ref() }.into(),
        // The one after it would stop this program in the log, by its frame.
        _ => command::RaiseSchema { to: command::Raised(Schema(s.number() % (Schema::NEWEST.0 + 2))) }.into(),
    }
}

fn part_number(s: &mut Source<'_>) -> u32 {
    if s.one_in(16) { s.small() } else { 1 + s.pick(3) as u32 }
}

fn ttl(s: &mut Source<'_>) -> u64 {
    if s.one_in(4) { s.number() } else { 1000 + s.pick(200) * 1000 }
}

fn bytes(s: &mut Source<'_>) -> Vec<u8> {
    let count = s.pick(40);
    (0..count).map(|_| s.byte()).collect()
}

fn junk(s: &mut Source<'_>) -> RestoredRow {
    RestoredRow { table: Table::ALL[s.pick(Table::ALL.len() as u64) as usize], key: bytes(s), value: bytes(s) }
}

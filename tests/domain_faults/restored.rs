//! Rows of a backup, as any program could have written them: the wire format by hand, and anything in the fields.

use ringmaster::domain::restored::piece;
use ringmaster::domain::rows::Content;
use ringmaster::domain::terms::{NewContent, RestoredRow};
use ringmaster::domain::{Command, ContentId, FileId, Sha256, Table, command};

use crate::source::Source;

pub(crate) const BACKUP: Sha256 = Sha256([5; 32]);

/// A message in the form in which it is stored.
struct Wire(Vec<u8>);

impl Wire {
    fn new() -> Self {
        Self(vec![1])
    }

    fn inner() -> Self {
        Self(Vec::new())
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Left out where it is 0.
    fn number(mut self, tag: u64, value: u64) -> Self {
        if value != 0 {
            self.varint(tag << 3);
            self.varint(value);
        }
        self
    }

    fn bytes(mut self, tag: u64, bytes: &[u8]) -> Self {
        self.varint(tag << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Left out where it is empty.
    fn text(self, tag: u64, text: &str) -> Self {
        if text.is_empty() { self } else { self.bytes(tag, text.as_bytes()) }
    }
}

fn key(id: u64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// What an entry's row begins with.
fn place(s: &mut Source<'_>, id: FileId, root: bool) -> Wire {
    let (parent, name) = match s.pick(8) {
        _ if root => (0, String::new()),
        0 => (s.number(), s.text()),
        1 => (1, format!("{:016x}", id.0)),
        2 => (0, String::new()),
        _ => (2 + s.pick(12), s.component()),
    };
    let owner = s.user().0;
    Wire::new().number(1, id.0).number(2, parent).text(3, &name).number(4, owner).number(5, s.number())
}

fn directory(s: &mut Source<'_>, id: FileId, root: bool) -> RestoredRow {
    let (components, bytes) = if s.one_in(4) { (s.small(), s.small()) } else { (0, 0) };
    let span = Wire::inner().number(1, components.into()).number(2, bytes.into());
    let value = place(s, id, root).bytes(7, &span.0).0;
    RestoredRow { table: Table::Entries, key: key(id.0), value }
}

/// Directories, each in the one before: the first is in `top`.
fn chain(first: u64, count: u64, top: u64) -> Vec<RestoredRow> {
    let row = |id: u64| {
        let (parent, name) = match id {
            _ if id > first => (id - 1, "d".to_owned()),
            _ if top == 1 => (1, format!("{id:016x}")),
            _ => (top, "d".to_owned()),
        };
        let value = Wire::new().number(1, id).number(2, parent).text(3, &name).number(4, 1).bytes(7, &[]).0;
        RestoredRow { table: Table::Entries, key: key(id), value }
    };
    (first..first + count).map(row).collect()
}

fn user(s: &mut Source<'_>) -> RestoredRow {
    let id = s.user().0;
    let root = if s.flag() { 2 + id % 8 } else { s.file().0 };
    let value = Wire::new()
        .number(1, id)
        .text(2, &s.text())
        .text(3, "hash")
        .number(4, s.pick(2))
        .number(5, root)
        .number(6, s.number())
        .0;
    RestoredRow { table: Table::Users, key: key(id), value }
}

fn number(s: &mut Source<'_>, name: &str) -> RestoredRow {
    RestoredRow { table: Table::Meta, key: name.into(), value: Wire::new().number(1, s.number()).0 }
}

fn policy(s: &mut Source<'_>) -> RestoredRow {
    let policy = s.policy();
    let value = Wire::new()
        .number(1, policy.copies.into())
        .number(2, policy.garbage_linger_ms)
        .number(3, policy.garbage_grace_ms)
        .number(4, policy.operation_ttl_ms)
        .number(5, policy.session_ttl_ms)
        .number(6, policy.receipt_ttl_ms)
        .number(7, policy.rebalance_percent.into())
        .0;
    RestoredRow { table: Table::Policy, key: b"only".to_vec(), value }
}

fn rows(s: &mut Source<'_>) -> Vec<RestoredRow> {
    match s.pick(56) {
        0 => vec![number(s, "next_file_id")],
        1 => vec![number(s, "next_user_id")],
        2 => vec![number(s, "fence")],
        3 => vec![policy(s)],
        4 | 21 | 22 => {
            let (user, file) = (s.user().0, s.file().0);
            let value = Wire::new().number(1, 1 + s.pick(2)).0;
            vec![RestoredRow { table: Table::Grants, key: [key(user), key(file)].concat(), value }]
        }
        5 => {
            let (length, top) = (1 + s.pick(200), [1, 2, 3, 150][s.pick(4) as usize]);
            chain(100, length, top)
        }
        6 => chain(300 + 200 * s.pick(3), 200, [1, 299, 499, 699][s.pick(4) as usize]),
        7..=16 => {
            // An account with a root that may be its own.
            let row = user(s);
            let root = u64::from_be_bytes(row.key[..].try_into().expect("the key is a number")) % 8 + 2;
            let value = Wire::new().number(1, root).number(4, root - 2).bytes(7, &[]).0;
            vec![RestoredRow { table: Table::Entries, key: key(root), value }, row]
        }
        17..=20 => vec![user(s)],
        23..=30 => vec![file(s)],
        31..=33 => vec![old_version(s)],
        34 | 35 => vec![trashed(s)],
        36 => vec![usage(s)],
        37..=39 => vec![retention(s)],
        40..=43 => properties(s),
        _ => {
            let (id, root) = (s.file(), s.one_in(6));
            vec![directory(s, id, root)]
        }
    }
}

/// A step of a restore: rows, or a content, or a content with a file that names it.
pub(crate) fn restore(s: &mut Source<'_>) -> Command {
    if s.one_in(3) {
        return content(s);
    }
    let rows = rows(s);
    for row in &rows {
        piece(row.table, &row.key, &row.value).expect("it is a row that can be read");
    }
    command::Restore { backup: BACKUP, rows, taken_at: s.time() }.into()
}

fn content(s: &mut Source<'_>) -> Command {
    let new: NewContent = s.content();
    let mut extent = Wire::inner().bytes(1, &s.blob().0.to_be_bytes()).number(2, new.size).bytes(3, &new.sha256.0);
    for _ in 0..s.pick(3) {
        let (server, epoch, copy) = (s.server().0, s.epoch().0, s.copy_id().0.to_be_bytes());
        extent = extent.bytes(4, &Wire::inner().number(1, server).number(2, epoch).bytes(3, &copy).0);
    }
    let extent = extent.number(5, s.number());
    let row = Wire::new().number(1, s.file().0).number(2, s.number()).number(3, 2 + s.pick(2));
    let row = match s.pick(8) {
        0 => row.bytes(5, &Wire::inner().number(1, s.number()).bytes(2, &new.sha256.0).number(3, s.number()).0),
        _ => row.bytes(4, &extent.0),
    };
    ringmaster::domain::restored::content(&row.0).expect("it is a row that can be read");
    command::RestoreContent { backup: BACKUP, content_id: s.content_id(), row: row.0, content: new }.into()
}

/// A file that names a content which nothing names yet.
pub(crate) fn naming(id: ContentId, content: &Content, file: u64) -> RestoredRow {
    let version = Wire::inner().number(1, 1).bytes(2, &id.0.to_be_bytes()).number(3, content.size());
    let version = version.bytes(4, &content.sha256().expect("it came in one piece").0);
    let row = Wire::new().number(1, file).number(2, 9000).text(3, &format!("n{file}")).number(4, 1);
    let value = row.bytes(8, &Wire::inner().bytes(1, &version.0).0).0;
    RestoredRow { table: Table::Entries, key: key(file), value }
}

/// A version that may be one of a content that came.
fn version(s: &mut Source<'_>) -> Wire {
    let number = if s.one_in(8) { s.number() } else { 1 + s.pick(4) };
    let (id, size) = (s.content_id(), s.number());
    let version = Wire::inner().number(1, number).bytes(2, &id.0.to_be_bytes()).number(3, size);
    version.bytes(4, &s.sha256().0).text(5, &s.text()).number(6, s.user().0)
}

fn file(s: &mut Source<'_>) -> RestoredRow {
    let id = s.file();
    let file = Wire::inner().bytes(1, &version(s).0).number(2, s.fence().0).number(3, s.number()).number(4, s.number());
    let binned = s.one_in(6).then(|| format!("{:016x}{:016x}", 5, id.0));
    let row = match binned {
        Some(name) => Wire::new().number(1, id.0).number(2, u64::MAX).text(3, &name).number(4, s.user().0),
        None => place(s, id, false),
    };
    RestoredRow { table: Table::Entries, key: key(id.0), value: row.bytes(8, &file.0).0 }
}

fn old_version(s: &mut Source<'_>) -> RestoredRow {
    let (id, version) = (s.file(), version(s));
    let number = match version.0.first() {
        // The first field is left out where it is 0.
        Some(8) => leading(&version.0[1..]),
        _ => 0,
    };
    let value = Wire::new().bytes(1, &version.0).number(2, s.number()).number(3, s.number()).0;
    RestoredRow { table: Table::Versions, key: [key(id.0), key(u64::MAX - number)].concat(), value }
}

/// The number that some bytes begin with.
fn leading(bytes: &[u8]) -> u64 {
    let length = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    bytes[..length].iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
}

fn trashed(s: &mut Source<'_>) -> RestoredRow {
    let (owner, id) = (s.user().0, s.file().0);
    let value = Wire::new().text(1, &s.path().to_string()).number(2, s.user().0).number(4, s.number()).0;
    RestoredRow { table: Table::Trash, key: [key(owner), key(5), key(id)].concat(), value }
}

fn usage(s: &mut Source<'_>) -> RestoredRow {
    let value = Wire::new().number(1, s.number()).number(2, s.number()).number(3, s.number()).number(4, s.number()).0;
    RestoredRow { table: Table::Usage, key: key(s.user().0), value }
}

/// Of one entry, more than there may be now and then.
fn properties(s: &mut Source<'_>) -> Vec<RestoredRow> {
    let (id, count) = (s.file().0, if s.one_in(16) { 70 } else { 1 + s.pick(3) });
    let row = |number| {
        let property = s.property();
        let name = if count > 3 { format!("{number}") } else { property.name };
        let value = Wire::new().text(1, &property.value).0;
        RestoredRow { table: Table::Properties, key: [key(id), name.into_bytes()].concat(), value }
    };
    (0..count).map(row).collect()
}

/// Most directories of a restored tree are of the user two below their number.
fn retention(s: &mut Source<'_>) -> RestoredRow {
    let id = s.file().0;
    let owner = if s.flag() { id.saturating_sub(2) } else { s.user().0 };
    let mut row = Wire::new().number(1, owner);
    for tag in 2..=4 {
        if s.flag() {
            let value = if tag == 2 { s.small().into() } else { s.number() };
            row.varint(tag << 3);
            row.varint(value);
        }
    }
    RestoredRow { table: Table::Retention, key: key(id), value: row.0 }
}

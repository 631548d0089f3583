//! How much of what should be there is not, for people and for monitoring.
//!
//! What the counters of the servers know is exact. What would take a walk over all files is looked for in a bounded part
//! of them, the nearest to danger first.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::record::Record;
use crate::domain::rows::{Entry, Repair, Server, ServerState, Sweep, SweepKind};
use crate::domain::stop::settle;
use crate::domain::tables::{self, MAX_COPIES};
use crate::domain::{ClusterTime, ExtentAt, Fault, FileId, FilePath, ReadStore, ServerId, Table, UserId, rules};

/// The most rows that are counted; more read as this many.
const COUNTED_ROWS: usize = 10_000;
/// The most repairs that are asked for their age. Each priority is in the order of the files, so the oldest is not
/// always among them; with more than this many the age of any is told well enough.
const AGED_ROWS: usize = 1_000;
/// The most copies of unsound servers, and the most repairs, in which files at risk are looked for.
const SEARCHED_ROWS: usize = 2_000;
/// The most files at risk that are named.
const NAMED_FILES: usize = 20;

/// What is owed, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Files on the list of repairs by how many copies counted when they came there; the last is for that many or more.
    pub by_copies: [u64; MAX_COPIES as usize + 1],
    pub servers_down: u64,
    /// Copies on servers that are down: to be replaced.
    pub to_replace: u64,
    /// Copies of older epochs on servers that returned: to be verified.
    pub to_verify: u64,
    /// Copies on servers that drain: to be moved.
    pub to_move: u64,
    /// Bytes of what is to be replaced or moved, without copies of older epochs.
    pub bytes_left: u64,
    pub sweeps: Vec<(SweepKind, Sweep)>,
    /// Rows of garbage, deleted or not.
    pub garbage: u64,
    /// Those of them whose bytes are still there.
    pub to_delete: BTreeMap<ServerId, ToDelete>,
    /// Until when the last hold keeps them from going, where there is one and it is not released before.
    pub held_until: Option<ClusterTime>,
    /// How long they stay where nothing else is wanted.
    pub linger_ms: u64,
    /// Since when the oldest of all that is owed has been.
    pub oldest: Option<ClusterTime>,
}

/// Copies on one server whose bytes are to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToDelete {
    pub copies: u64,
    /// Since when the first and the last have been listed.
    pub first: ClusterTime,
    pub last: ClusterTime,
}

impl Upkeep {
    /// Files that are owed a copy. One that two servers owe counts twice.
    pub fn pending(&self) -> u64 {
        self.by_copies.iter().sum::<u64>().saturating_add(self.to_replace).saturating_add(self.to_verify)
    }

    /// For how long the oldest of what is owed has been; nothing where nothing is.
    pub fn oldest_age_ms(&self, now: ClusterTime) -> Option<u64> {
        self.oldest.map(|since| now.0.saturating_sub(since.0))
    }
}

/// A file with fewer copies than it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtRisk {
    pub file_id: FileId,
    /// Copies that count.
    pub copies: usize,
    /// The owner's name and the path in the owner's tree, for those who may read the file.
    pub name: Option<(String, FilePath)>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    User(UserId),
    /// Sees the names of all files.
    Admin,
}

/// # Errors
/// When the storage fails.
pub fn upkeep(store: &dyn ReadStore) -> Result<Upkeep, Fault> {
    let mut upkeep = Upkeep::default();
    for server in tables::servers(store)? {
        let named = server.named();
        let owed = match server.state {
            ServerState::Down => {
                upkeep.servers_down += 1;
                upkeep.to_replace = upkeep.to_replace.saturating_add(named);
                upkeep.bytes_left = upkeep.bytes_left.saturating_add(server.bytes);
                named
            }
            ServerState::Draining => {
                upkeep.to_move = upkeep.to_move.saturating_add(named);
                upkeep.bytes_left = upkeep.bytes_left.saturating_add(server.bytes);
                upkeep.to_verify = upkeep.to_verify.saturating_add(server.stale);
                server.stale
            }
            ServerState::Up => {
                upkeep.to_verify = upkeep.to_verify.saturating_add(server.stale);
                server.stale
            }
        };
        if owed > 0 {
            upkeep.is_owed_since(server.changed_at);
        }
    }
    for (position, (key, value)) in store.scan(Table::Repairs, &[], None, COUNTED_ROWS)?.iter().enumerate() {
        let copies = key.first().copied().unwrap_or_default().min(MAX_COPIES);
        upkeep.by_copies[usize::from(copies)] += 1;
        if position < AGED_ROWS {
            upkeep.is_owed_since(Repair::from_bytes(value)?.since);
        }
    }
    for kind in SweepKind::ALL {
        upkeep.sweeps.extend(tables::sweep(store, kind)?.map(|sweep| (kind, sweep)));
    }
    for (_, copy, row) in tables::garbage_from(store, &[], COUNTED_ROWS)? {
        upkeep.garbage += 1;
        if row.deleted_at.is_none() {
            let (copies, first, last) = (0, row.since, row.since);
            let listed = upkeep.to_delete.entry(copy.server_id).or_insert(ToDelete { copies, first, last });
            listed.copies += 1;
            listed.first = listed.first.min(row.since);
            listed.last = listed.last.max(row.since);
        }
    }
    upkeep.held_until = tables::last_hold_ends(store)?;
    upkeep.linger_ms = tables::policy(store)?.garbage_linger_ms;
    Ok(upkeep)
}

impl Upkeep {
    fn is_owed_since(&mut self, since: ClusterTime) {
        self.oldest = Some(self.oldest.map_or(since, |oldest| oldest.min(since)));
    }
}

/// Files with too few copies, the fewest first.
///
/// # Errors
/// When the storage fails.
pub fn at_risk(store: &dyn ReadStore, viewer: Viewer) -> Result<Vec<AtRisk>, Fault> {
    let servers: BTreeMap<ServerId, Server> =
        tables::servers(store)?.into_iter().map(|server| (server.server_id, server)).collect();
    let wanted = usize::try_from(tables::policy(store)?.copies).unwrap_or(usize::from(MAX_COPIES));
    let mut found = BTreeSet::new();
    for at in suspects(store, &servers)? {
        // A repair may be owed to what is gone; its row goes when the job meets it.
        let Some(extent) = tables::live_extent(store, at)? else { continue };
        let counts = |id: &ServerId| servers.get(id);
        let copies =
            extent.replicas.iter().filter(|replica| counts(&replica.server_id).is_some_and(|at| at.counts(replica)));
        let copies = copies.count();
        if copies < wanted {
            found.insert((copies, at));
        }
    }
    let (mut files, mut named) = (Vec::new(), BTreeSet::new());
    for (copies, at) in found {
        let Some(content) = tables::content(store, at.content_id)? else { continue };
        let whole = content.part_of.map(|whole| tables::content(store, whole)).transpose()?.flatten();
        let made_for = whole.map_or(content.made_for, |whole| whole.made_for);
        let Some(entry) = tables::entry(store, made_for)? else { continue };
        // What was removed is no loss any more.
        let Some(owners) = name(store, entry.owner, &entry)? else { continue };
        let name = match viewer {
            Viewer::Admin => Some(owners),
            Viewer::User(user) => name(store, user, &entry)?,
        };
        if named.insert(entry.file_id) {
            files.push(AtRisk { file_id: entry.file_id, copies, name });
        }
        if files.len() == NAMED_FILES {
            break;
        }
    }
    Ok(files)
}

/// Extents of which some copy may not count.
fn suspects(store: &dyn ReadStore, servers: &BTreeMap<ServerId, Server>) -> Result<BTreeSet<ExtentAt>, Fault> {
    let mut extents: BTreeSet<ExtentAt> =
        tables::repairs_from(store, &[], SEARCHED_ROWS)?.into_iter().map(|(_, at, _)| at).collect();
    let unsound: Vec<&Server> = servers
        .values()
        .filter(|server| server.stale > 0 || (server.state == ServerState::Down && server.named() > 0))
        .collect();
    for server in &unsound {
        let share = (SEARCHED_ROWS / unsound.len()).max(1);
        let rows = tables::placements_after(store, server.server_id, None, share)?;
        extents.extend(rows.into_iter().map(|(_, placement)| placement.at));
    }
    Ok(extents)
}

/// The owner and the path of a file, if `user` may read it and it was not removed.
fn name(store: &dyn ReadStore, user: UserId, entry: &Entry) -> Result<Option<(String, FilePath)>, Fault> {
    let Ok(reached) = settle(rules::reach_id(store, user, entry.file_id))? else { return Ok(None) };
    let owner = rules::Describer::new(store).username(entry.owner)?;
    Ok(Some((owner, reached.path)))
}

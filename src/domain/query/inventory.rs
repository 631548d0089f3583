//! What a file server holds, beside what the records say that it holds.
//!
//! A report is about a range of blobs, and says of each blob in it whether and which copy is there. The state that it is
//! compared with was read after the report came, so what was committed before the items were listed is in it. What was
//! committed since looks missing, and is asked for before it is believed.

use super::Asked;
use crate::domain::rows::Server;
use crate::domain::stop::{Stop, reject, settle};
use crate::domain::tables;
use crate::domain::{BlobId, CopyAt, CopyId, Epoch, Fault, ReadStore, RejectionKind, Replica, ServerId};

/// What a file server has of one blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub blob_id: BlobId,
    /// Nothing where the copy is damaged so that nobody can tell which one it was.
    pub copy: Option<HeldCopy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCopy {
    pub copy_id: CopyId,
    /// By the file server's own clock.
    pub age_ms: u64,
}

/// The file server that reports, as the one that it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reporter {
    pub server_id: ServerId,
    pub epoch: Epoch,
}

/// The blobs after `after` up to and including `through`; nothing stands for the first and the last there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobRange {
    pub after: Option<BlobId>,
    pub through: Option<BlobId>,
}

impl BlobRange {
    pub fn contains(&self, blob: BlobId) -> bool {
        self.after.is_none_or(|after| blob > after) && self.through.is_none_or(|through| blob <= through)
    }
}

/// What the items of a report come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surplus {
    /// No record names them, and none is about to: to be condemned.
    pub orphans: Vec<CopyAt>,
    /// A record names them, and they are damaged beyond recognition: to be reported.
    pub damaged: Vec<CopyAt>,
}

/// Copies that the records name and that the report does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    pub copies: Vec<CopyAt>,
    /// Where the comparison goes on; nothing where it is through with the range.
    pub next: Option<BlobId>,
}

/// Judges what is there: `held` is in ascending order.
///
/// # Errors
/// When the storage fails. A server that is not known, not up, or has another epoch is refused.
pub fn surplus(store: &dyn ReadStore, reporter: Reporter, held: &[Held]) -> Asked<Surplus> {
    settle(find_surplus(store, reporter, held))
}

fn find_surplus(store: &dyn ReadStore, reporter: Reporter, held: &[Held]) -> Result<Surplus, Stop> {
    let server = reporting_server(store, reporter)?;
    let grace_ms = tables::policy(store)?.garbage_grace_ms;
    let mut surplus = Surplus::default();
    for item in held {
        let at = |copy_id| CopyAt { server_id: reporter.server_id, blob_id: item.blob_id, copy_id };
        let named = named_copy(store, reporter.server_id, item.blob_id)?;
        let orphan = match (item.copy, named) {
            // Where another copy is there than the one named, it is what a repair left whose commit was lost: its bytes may
            // be the only good ones. The repair that comes takes it over, or drops the server from the record.
            (Some(_), Some(_)) => None,
            (Some(held), None) => (held.age_ms >= grace_ms).then_some(held.copy_id),
            (None, Some(named)) => {
                if is_sound(&server, &named) {
                    surplus.damaged.push(at(named.copy_id));
                }
                None
            }
            // Which copy it was, and how old, nobody can tell. Bytes under this id are deleted only while they are
            // damaged: a copy that was just in the making is not hit.
            (None, None) => Some(CopyId(0)),
        };
        if let Some(copy_id) = orphan
            && tables::garbage(store, reporter.server_id, item.blob_id, copy_id)?.is_none()
        {
            surplus.orphans.push(at(copy_id));
        }
    }
    Ok(surplus)
}

/// Finds what is not there, among at most `limit` copies that records name in `range`. Copies of older epochs, and those
/// that were reported before, are the leader's job's and passed by.
///
/// # Errors
/// As [`surplus`].
pub fn missing(
    store: &dyn ReadStore,
    reporter: Reporter,
    range: BlobRange,
    held: &[Held],
    limit: usize,
) -> Asked<Missing> {
    settle(find_missing(store, reporter, range, held, limit))
}

fn find_missing(
    store: &dyn ReadStore,
    reporter: Reporter,
    range: BlobRange,
    held: &[Held],
    limit: usize,
) -> Result<Missing, Stop> {
    let server = reporting_server(store, reporter)?;
    let rows = tables::placements_after(store, reporter.server_id, range.after, limit)?;
    let cut_short = rows.len() == limit;
    let last = rows.last().map(|(blob, _)| *blob);
    let mut missing = Missing { next: last.filter(|_| cut_short), ..Missing::default() };
    for (blob_id, _) in rows {
        if !range.contains(blob_id) {
            missing.next = None;
            break;
        }
        let Some(named) = named_copy(store, reporter.server_id, blob_id)? else { continue };
        let there = held.binary_search_by_key(&blob_id, |item| item.blob_id).ok().map(|at| held[at].copy);
        let lost = match there {
            None => true,
            Some(Some(copy)) => copy.copy_id != named.copy_id,
            // Damaged, which is no matter of asking.
            Some(None) => false,
        };
        if lost && is_sound(&server, &named) {
            missing.copies.push(CopyAt { server_id: reporter.server_id, blob_id, copy_id: named.copy_id });
        }
    }
    Ok(missing)
}

fn reporting_server(store: &dyn ReadStore, reporter: Reporter) -> Result<Server, Stop> {
    let Reporter { server_id, epoch } = reporter;
    tables::server(store, server_id)?.filter(|server| server.serves(epoch)).ok_or_else(|| {
        reject(
            RejectionKind::VersionConflict,
            format!("file server {server_id} is not known as up in epoch {epoch}: register again, and report then"),
        )
    })
}

/// The copy of a blob that a record names on a server.
fn named_copy(store: &dyn ReadStore, server: ServerId, blob: BlobId) -> Result<Option<Replica>, Fault> {
    let Some(placement) = tables::placement(store, server, blob)? else { return Ok(None) };
    let extent = tables::extent(store, placement.at)?.filter(|extent| extent.blob_id == blob);
    let replicas = extent.map(|extent| extent.replicas).unwrap_or_default();
    Ok(replicas.into_iter().find(|replica| replica.server_id == server))
}

/// Whether the copy is held to be good now, so that the contrary is news.
fn is_sound(server: &Server, replica: &Replica) -> bool {
    replica.epoch == server.epoch && !replica.damaged
}

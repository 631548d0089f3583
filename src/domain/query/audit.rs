//! Who did what.

use super::MAX_PAGE;
use crate::domain::record::Record;
use crate::domain::rows::{AuditRow, AuditState};
use crate::domain::rules::Describer;
use crate::domain::{Fault, ReadStore, Sha256, audit as chain, tables};

/// A row of the audit, with the name of who did it and its own hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditStat {
    pub number: u64,
    pub row: AuditRow,
    /// Nothing for an operator with the cluster secret.
    pub by: Option<String>,
    pub hash: Sha256,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    pub rows: Vec<AuditStat>,
    /// The number that the next page begins with.
    pub next: Option<u64>,
}

/// At most `limit` rows from a number on, the oldest first.
///
/// # Errors
/// When the storage fails.
pub fn audit(store: &dyn ReadStore, from: u64, limit: usize) -> Result<AuditPage, Fault> {
    let limit = limit.clamp(1, MAX_PAGE);
    let mut names = Describer::new(store);
    let mut page = AuditPage::default();
    let from = from.max(tables::audit_state(store)?.first);
    for (number, bytes) in tables::audit_from(store, from, limit + 1)? {
        if page.rows.len() == limit {
            page.next = Some(number);
            break;
        }
        let row = AuditRow::from_bytes(&bytes)?;
        let by = if row.actor.0 == 0 { None } else { Some(names.username(row.actor)?) };
        page.rows.push(AuditStat { number, row, by, hash: chain::hash(&bytes) });
    }
    Ok(page)
}

/// Where the audit stands.
///
/// # Errors
/// When the storage fails.
pub fn audit_head(store: &dyn ReadStore) -> Result<AuditState, Fault> {
    tables::audit_state(store)
}

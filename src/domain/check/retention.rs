//! What directories keep otherwise than the policy says.

use super::Report;
use crate::domain::record::Record;
use crate::domain::rows::Retention;
use crate::domain::stop::settle;
use crate::domain::tables::{self, MAX_RETENTIONS, keys};
use crate::domain::{Fault, FileId, Table, rules};

pub(super) fn check(report: &mut Report<'_>) -> Result<(), Fault> {
    let mut rows = 0;
    report.each(Table::Retention, |report, store, key, value| {
        let id = FileId(keys::read_u64(key, Table::Retention)?);
        let row = Retention::from_bytes(value)?;
        rows += 1;
        let entry = tables::entry(store, id)?;
        let directory = entry.is_some_and(|entry| entry.is_directory() && entry.owner == row.owner);
        report.expect("retention_is_of_directories", directory, || format!("entry {id}: {row:?}"));
        let bounded = settle(rules::check_retention(&row))?.is_ok() && !row.is_empty();
        report.expect("retention_is_bounded", bounded, || format!("entry {id}: {row:?}"));
        Ok(())
    })?;
    report.expect("retention_is_of_few", rows <= MAX_RETENTIONS, || format!("{rows} directories"));
    Ok(())
}

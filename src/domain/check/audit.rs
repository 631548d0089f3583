//! Who did what: the chain of it.

use super::Report;
use crate::domain::record::Record;
use crate::domain::rows::AuditRow;
use crate::domain::tables::{self, keys};
use crate::domain::{Fault, Table, audit};

pub(super) fn check(report: &mut Report<'_>) -> Result<(), Fault> {
    let state = tables::audit_state(report.store)?;
    let (mut number, mut bytes, mut before) = (state.first, 0_u64, None);
    report.each(Table::Audit, |report, _, key, value| {
        let row = AuditRow::from_bytes(value)?;
        report.expect("the_audit_has_no_gap", key == keys::audit(number), || format!("row {number} is {key:?}"));
        let chained = before.is_none_or(|before| before == row.before);
        report.expect("the_audit_is_a_chain", chained, || format!("row {number}"));
        number = number.saturating_add(1);
        bytes = bytes.saturating_add(value.len() as u64);
        before = Some(audit::hash(value));
        Ok(())
    })?;
    let ends = number == state.next && bytes == state.bytes && before.is_none_or(|before| before == state.head);
    report.expect("the_audit_ends_at_its_head", ends, || format!("{number} rows, {bytes} bytes, and {state:?}"));
    Ok(())
}

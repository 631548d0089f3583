//! Properties.

use super::Report;
use crate::domain::record::Record;
use crate::domain::rows::{Entry, PropertySum};
use crate::domain::stop::settle;
use crate::domain::tables::{self, keys};
use crate::domain::{Fault, Table, rules};

pub(super) fn check(report: &mut Report<'_>) -> Result<(), Fault> {
    report.each(Table::Properties, |report, store, key, _| {
        let (id, name) = keys::read_property(key)?;
        // Whose sum is none is asked for none: the other side would pass these by.
        let counted = tables::entry(store, id)?.is_some_and(|entry| entry.properties.is_some());
        report.expect("properties_are_of_entries", counted, || format!("entry {id}: property {name:?}"));
        let valid = settle(rules::check_property_name(&name))?.is_ok();
        report.expect("properties_have_names", valid, || format!("entry {id}: property {name:?}"));
        Ok(())
    })?;
    report.each(Table::Entries, |report, store, _, value| {
        let entry = Entry::from_bytes(value)?;
        let Some(kept) = entry.properties else { return Ok(()) };
        let mut sum = PropertySum::default();
        for property in tables::properties(store, entry.file_id)? {
            sum.add(&property.name, &property.value);
        }
        report.expect("properties_are_counted", sum.kept() == Some(kept), || {
            format!("entry {}: {kept:?}, and there are {sum:?}", entry.file_id)
        });
        let bounded = settle(rules::check_property_sum(&sum))?.is_ok();
        report.expect("properties_are_bounded", bounded, || format!("entry {}: {sum:?}", entry.file_id));
        Ok(())
    })
}

//! The invariants of the state, each by name.
//!
//! It only reads, a page at a time, and keeps nothing but a few numbers per file server: it runs over a snapshot of
//! any size. Each table is looked at from its own side, so that of two rows that must name one another a missing one
//! is found whichever it is.

mod audit;
mod contents;
mod parts;
mod people;
mod properties;
mod refs;
mod retention;
mod servers;
mod time;
mod tree;
mod uploads;
mod versions;

use super::tables::keys;
use super::{Fault, ReadStore, Table};

/// One broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    /// Which row, and what is wrong with it.
    pub detail: String,
}

/// More are not told: a state that is broken in so many places is broken as a whole.
const MAX_VIOLATIONS: usize = 1000;
/// Rows that are read at once.
const PAGE: usize = 1024;

/// Every violation found, at most a thousand of them.
///
/// # Errors
/// When the storage fails or a row cannot be read at all.
pub fn check(store: &dyn ReadStore) -> Result<Vec<Violation>, Fault> {
    let mut report = Report { store, violations: Vec::new() };
    tree::check(&mut report)?;
    let named = versions::check(&mut report)?;
    let held = contents::check(&mut report, &named)?;
    servers::check(&mut report, &held)?;
    people::check(&mut report)?;
    audit::check(&mut report)?;
    retention::check(&mut report)?;
    properties::check(&mut report)?;
    time::check(&mut report)?;
    Ok(report.violations)
}

struct Report<'a> {
    store: &'a dyn ReadStore,
    violations: Vec<Violation>,
}

impl<'a> Report<'a> {
    /// Notes a violation unless `holds`.
    fn expect(&mut self, invariant: &'static str, holds: bool, detail: impl FnOnce() -> String) {
        if !holds && self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { invariant, detail: detail() });
        }
    }

    /// Visits every row of a table until enough violations are known.
    fn each(
        &mut self,
        table: Table,
        mut visit: impl FnMut(&mut Self, &'a dyn ReadStore, &[u8], &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut from = Vec::new();
        while self.violations.len() < MAX_VIOLATIONS {
            let page = self.store.scan(table, &from, None, PAGE)?;
            for (key, value) in &page {
                visit(self, self.store, key, value)?;
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => from = keys::after(last),
                _ => break,
            }
        }
        Ok(())
    }
}

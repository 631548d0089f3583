//! Typed access to the tables: one row in, one row out. What belongs together is kept together by `apply`; here
//! nothing knows a rule.

mod accounts;
mod children;
mod contents;
pub(crate) mod keys;
mod member_keys;
mod meta;
mod parts;
mod people;
mod properties;
mod retention;
mod servers;
mod tree;
mod upkeep;
mod uploads;
mod versions;

pub(crate) use accounts::*;
pub(crate) use children::{is_filled, number_of_children};
pub(crate) use contents::*;
pub(crate) use keys::{Class, Ending};
pub(crate) use member_keys::*;
pub(crate) use meta::*;
pub(crate) use parts::*;
pub(crate) use people::*;
pub(crate) use properties::*;
pub(crate) use retention::*;
pub(crate) use servers::*;
pub(crate) use tree::*;
pub(crate) use upkeep::*;
pub(crate) use uploads::*;
pub(crate) use versions::*;

use super::record::Record;
use super::{Fault, ReadStore, Store, Table};

/// One row.
pub(crate) fn read<R: Record>(store: &dyn ReadStore, table: Table, key: &[u8]) -> Result<Option<R>, Fault> {
    store.get(table, key)?.map(|bytes| R::from_bytes(&bytes)).transpose()
}

fn write<R: Record>(store: &mut dyn Store, table: Table, key: &[u8], row: &R) -> Result<(), Fault> {
    store.put(table, key, &row.to_bytes())
}

/// At most `limit` keys that start with `prefix`, from `from` on, with their values.
fn stretch(
    store: &dyn ReadStore,
    table: Table,
    prefix: &[u8],
    from: &[u8],
    limit: usize,
) -> Result<Vec<super::store::Row>, Fault> {
    store.scan(table, from.max(prefix), keys::end_of(prefix).as_deref(), limit)
}

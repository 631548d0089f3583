//! The invariants of the state, each by name. Reads only, a page at a time: it runs over a snapshot of any size.

use super::{Fault, ReadStore};

/// One broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub detail: String,
}

/// Every violation found, at most a thousand of them.
///
/// # Errors
/// When the storage fails or a row cannot be read at all.
pub fn check(_store: &dyn ReadStore) -> Result<Vec<Violation>, Fault> {
    Err(Fault("not built yet".to_owned()))
}

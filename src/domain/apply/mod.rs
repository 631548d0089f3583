//! The one way in which the state changes.

use super::command::Stamped;
use super::{Answer, Fault, Store};

/// Applies one entry of the log.
///
/// # Errors
/// A fault stops the process.
pub fn apply(_store: &mut dyn Store, _index: u64, _stamped: &Stamped) -> Result<Answer, Fault> {
    Err(Fault("not built yet".to_owned()))
}

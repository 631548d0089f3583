//! What properties an entry may have.

use std::collections::BTreeSet;

use crate::domain::RejectionKind;
use crate::domain::rows::{Property, PropertySum};
use crate::domain::stop::{Stop, reject, require};
use crate::domain::tables::MAX_PROPERTIES;

/// Names and values of one entry.
const MAX_BYTES: usize = 64 * 1024;
/// A namespace and a name in it.
const MAX_NAME_BYTES: usize = 512;

pub(crate) fn check_property_name(name: &str) -> Result<(), Stop> {
    let plain = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    require(
        plain,
        RejectionKind::InvalidRequest,
        "the name of a property is empty, too long, or has control characters: use 1 to 512 bytes",
    )
}

/// What can be told from a change alone.
pub(crate) fn check_properties(set: &[Property], remove: &[String]) -> Result<(), Stop> {
    let invalid = RejectionKind::InvalidRequest;
    let some = !set.is_empty() || !remove.is_empty();
    require(some, invalid, "nothing is set and nothing removed: name a property")?;
    let few = set.len() <= MAX_PROPERTIES && remove.len() <= MAX_PROPERTIES;
    require(few, invalid, "too many properties at once: set and remove 64 at most")?;
    let (mut names, mut sum) = (BTreeSet::new(), PropertySum::default());
    for property in set {
        sum.add(&property.name, &property.value);
    }
    for name in set.iter().map(|property| &property.name).chain(remove) {
        check_property_name(name)?;
        if !names.insert(name) {
            return Err(reject(invalid, "a property is named twice: name each once, to be set or to be removed"));
        }
    }
    check_property_sum(&sum)
}

/// Whether an entry may have so many.
pub(crate) fn check_property_sum(sum: &PropertySum) -> Result<(), Stop> {
    require(
        sum.names as usize <= MAX_PROPERTIES && sum.bytes as usize <= MAX_BYTES,
        RejectionKind::InvalidRequest,
        "a file or a directory has at most 64 properties, and 64 KiB of them with their names: remove some first, or \
         store what is large as a file",
    )
}

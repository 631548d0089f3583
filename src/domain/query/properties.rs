//! What users say of an entry, by names of their own.

use super::Asked;
use crate::domain::rows::Property;
use crate::domain::rules;
use crate::domain::stop::{Stop, settle};
use crate::domain::terms::FileRef;
use crate::domain::{FileId, ReadStore, UserId, tables};

/// The properties of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyList {
    pub file_id: FileId,
    /// In the order of their names.
    pub properties: Vec<Property>,
}

/// The properties of a file or a directory, for who may read it.
///
/// # Errors
/// When the storage fails.
pub fn properties(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Asked<PropertyList> {
    settle(list(store, user, file))
}

fn list(store: &dyn ReadStore, user: UserId, file: &FileRef) -> Result<PropertyList, Stop> {
    let entry = rules::reach(store, user, file)?.entry;
    let file_id = entry.file_id;
    let properties = if entry.properties.is_some() { tables::properties(store, file_id)? } else { Vec::new() };
    Ok(PropertyList { file_id, properties })
}

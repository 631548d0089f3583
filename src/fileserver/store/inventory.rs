//! Listing what the store holds.

use super::layout::{Part, parse_stored, position};
use super::recovery::files_of;
use super::sidecar::CopyRecord;
use super::{Store, StoreError, disk};
use crate::domain::BlobId;

/// One blob of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) blob_id: BlobId,
    /// Of the data file as it is.
    pub(crate) size: u64,
    /// Nothing where the record is damaged.
    pub(crate) record: Option<CopyRecord>,
}

impl Store {
    /// The blobs with ids after `after`, in ascending order, at most `limit`; and whether there may be more. What
    /// comes or goes meanwhile may be listed or not.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn list(&self, after: Option<BlobId>, limit: usize) -> Result<(Vec<Listed>, bool), StoreError> {
        let mut listed = Vec::new();
        let more = self.walk(after, |blob_id| {
            if listed.len() == limit {
                return Ok(false);
            }
            listed.extend(self.describe(blob_id)?);
            Ok(true)
        })?;
        Ok((listed, more))
    }

    /// As [`Self::list`], without a look at the copies.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn ids(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<BlobId>, StoreError> {
        let mut ids = Vec::new();
        self.walk(after, |blob_id| {
            if ids.len() == limit {
                return Ok(false);
            }
            ids.push(blob_id);
            Ok(true)
        })?;
        Ok(ids)
    }

    /// Visits the blobs with ids after `after`, in ascending order, until `visit` wants no more; whether it came to that.
    fn walk(
        &self,
        after: Option<BlobId>,
        mut visit: impl FnMut(BlobId) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let first = after.map_or((0, 0), position);
        for shard in first.0..=u8::MAX {
            if !disk::exists(&self.layout.shard(shard))? {
                continue;
            }
            let first_leaf = if shard == first.0 { first.1 } else { 0 };
            for leaf in first_leaf..=u8::MAX {
                for blob_id in self.ids_of(shard, leaf, after)? {
                    if !visit(blob_id)? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    fn ids_of(&self, shard: u8, leaf: u8, after: Option<BlobId>) -> Result<Vec<BlobId>, StoreError> {
        let mut ids: Vec<BlobId> = files_of(&self.layout.leaf(shard, leaf))?
            .iter()
            .filter_map(|entry| match parse_stored(entry.file_name().to_str()?)? {
                (blob_id, Part::Data) if after.is_none_or(|after| blob_id > after) => Some(blob_id),
                _ => None,
            })
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn describe(&self, blob_id: BlobId) -> Result<Option<Listed>, StoreError> {
        match self.head(blob_id) {
            Ok(record) => Ok(Some(Listed { blob_id, size: record.size, record: Some(record) })),
            Err(StoreError::Missing) => Ok(None),
            Err(StoreError::Damaged { .. }) => {
                Ok(Some(Listed { blob_id, size: self.data_bytes(blob_id), record: None }))
            }
            Err(error) => Err(error),
        }
    }
}

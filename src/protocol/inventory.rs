//! What a file server tells the directory of what it holds: `POST /inventory` at any directory node, with the cluster
//! secret as bearer token.
//!
//! A report is about a *range* of blob ids: within it the server holds exactly the items listed. So a page of the whole
//! inventory, a copy met damaged and a copy found missing are one shape: the range of a single blob with an item that has
//! no `copy` says that the copy is damaged; the same range without an item says that nothing is there.

use serde::{Deserialize, Serialize};

use super::blob::InventoryItem;
use crate::domain::{BlobId, Epoch, ServerId};

/// Body of `POST /inventory`. A server of another epoch than the directory knows is refused and registers again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryReport {
    pub server_id: ServerId,
    pub epoch: Epoch,
    /// The range begins behind this blob; with the first one there can be where it is not given.
    #[serde(default)]
    pub after: Option<BlobId>,
    /// The range ends with this blob; with the last one there can be where it is not given.
    #[serde(default)]
    pub through: Option<BlobId>,
    /// Milliseconds since the Unix epoch by the file server's wall clock, read when the items were: the ages of its items
    /// are measured by one clock.
    pub now_wall_ms: u64,
    /// In ascending order of blob ids, at most [`super::blob::MAX_INVENTORY_ITEMS`].
    pub items: Vec<InventoryItem>,
}

impl InventoryReport {
    /// The `after` of a range that has `blob_id` alone in it, up to and including it.
    pub const fn before(blob_id: BlobId) -> Option<BlobId> {
        match blob_id.0.checked_sub(1) {
            Some(before) => Some(BlobId(before)),
            None => None,
        }
    }
}

/// What the directory made of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryAnswer {
    /// Copies that no record names, and that were listed as garbage.
    #[serde(default)]
    pub orphans: u32,
    /// Files that are owed a repair because of this report.
    #[serde(default)]
    pub owed: u32,
    /// The report was compared up to this blob, and the server is to report what comes after it at once; nothing where all of
    /// it was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<BlobId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_one_blob_has_a_range_of_one() {
        assert_eq!(InventoryReport::before(BlobId(8)), Some(BlobId(7)));
        assert_eq!(InventoryReport::before(BlobId(0)), None);
    }

    #[test]
    fn ids_have_their_usual_spelling() {
        let item = InventoryItem { blob_id: BlobId(8), size: 3, copy: None };
        let report = InventoryReport {
            server_id: ServerId(2),
            epoch: Epoch(4),
            after: InventoryReport::before(BlobId(8)),
            through: Some(BlobId(8)),
            now_wall_ms: 5,
            items: vec![item],
        };
        let text = serde_json::to_string(&report).expect("serializes");
        assert!(
            text.starts_with("{\"server_id\":2,\"epoch\":4,\"after\":\"00000000000000000000000000000007\""),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<InventoryReport>(&text).expect("parses"), report);
    }
}

//! The shapes of a file server's blob calls.
//!
//! | call | capability | answer |
//! |---|---|---|
//! | `PUT /blobs/{blob_id}?copy_id=C`, the bytes | `Put` | 201 [`Receipt`]; 200 with the same receipt where that copy is there already |
//! | `GET /blobs/{blob_id}`, optional `Range: bytes=a-b` | `Get` | 200 or 206, the bytes, and the [`headers`] |
//! | `HEAD /blobs/{blob_id}` | `Head` | 200, `Content-Length` and the [`headers`], which make a receipt |
//! | `DELETE /blobs/{blob_id}?copy_id=C` | `Delete` | 204, also where that copy is not there |
//! | `POST /blobs/{blob_id}/copy`, [`CopyRequest`] | `Copy` | 201 or 200 [`Receipt`] |
//! | `POST /blobs/{blob_id}/verify?copy_id=C` | `Verify` | 200 [`Receipt`], once every chunk was read and found good |
//! | `POST /scrub` | `Scrub` | 202: everything is being read and checked |
//! | `GET /blobs?after=B&limit=N` | `Inventory` | 200 [`InventoryPage`] |

use serde::{Deserialize, Serialize};

use crate::domain::{BlobId, ClusterId, CopyId, Epoch, ServerId, Sha256};

/// Headers of the answers to `GET` and `HEAD`: who answers, and with which copy.
pub mod headers {
    pub const CLUSTER_ID: &str = "ringmaster-cluster-id";
    pub const SERVER_ID: &str = "ringmaster-server-id";
    pub const EPOCH: &str = "ringmaster-epoch";
    pub const COPY_ID: &str = "ringmaster-copy-id";
    pub const SHA256: &str = "ringmaster-sha256";
    /// The `code` of an error, for answers that have no body.
    pub const CODE: &str = "ringmaster-code";
    /// Why the server's disk takes no writes, in an answer that failed because of it.
    pub const REFUSAL: &str = "ringmaster-refusal";
}

/// The most items of one inventory page.
pub const MAX_INVENTORY_ITEMS: usize = 1000;

/// A file server's word that a copy is durable on its disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub cluster_id: ClusterId,
    pub server_id: ServerId,
    pub epoch: Epoch,
    pub copy_id: CopyId,
    pub size: u64,
    pub sha256: Sha256,
}

/// Asks a file server to fetch a blob from another one. It carries no address: the server knows the others'
/// addresses from the directory alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyRequest {
    pub source_server_id: ServerId,
    /// A `Get` capability for the blob on the source.
    pub source_capability: String,
    /// The id of the copy to be made.
    pub copy_id: CopyId,
    pub size: u64,
    pub sha256: Sha256,
    /// How fast the bytes may be fetched; as fast as they come where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// Copies of the blob that are listed for deletion: whichever of them is there gives way to the new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<CopyId>,
}

/// The query of `PUT`, `DELETE` and `verify`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopyQuery {
    pub copy_id: CopyId,
}

/// The query of an inventory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InventoryQuery {
    /// Only blobs with larger ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BlobId>,
    /// At most [`MAX_INVENTORY_ITEMS`], which is also what holds where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What a server holds, in ascending order of blob ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryPage {
    pub cluster_id: ClusterId,
    pub server_id: ServerId,
    pub epoch: Epoch,
    pub items: Vec<InventoryItem>,
    /// The `after` of the next page; nothing where this one is the last.
    pub next: Option<BlobId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryItem {
    pub blob_id: BlobId,
    /// The size of the data file as it is.
    pub size: u64,
    /// Nothing where the copy's record is damaged or lost, so that the copy cannot be served.
    pub copy: Option<InventoryCopy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryCopy {
    pub copy_id: CopyId,
    pub size: u64,
    pub sha256: Sha256,
    /// Milliseconds since the Unix epoch by the file server's wall clock.
    pub stored_at_wall_ms: u64,
}

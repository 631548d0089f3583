//! What a directory node asks of file servers, behind a small trait, so that a simulation can put file servers of its
//! own in their place.

pub mod http;

use std::ops::Range;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::domain::{BlobId, ClusterId, CopyId, Epoch, ServerId, ServerUuid, Sha256};

/// Where a file server is, and which one is expected there: another that answers at the same address is not the one
/// asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    pub server_id: ServerId,
    pub epoch: Epoch,
    /// By which its certificate is known.
    pub uuid: ServerUuid,
    pub url: String,
}

/// A file server's word that a copy is durable on its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCopy {
    pub cluster_id: ClusterId,
    pub server_id: ServerId,
    pub epoch: Epoch,
    pub copy_id: CopyId,
    pub size: u64,
    pub sha256: Sha256,
}

/// The bytes of a blob on their way. An error ends the stream.
pub type Body = BoxStream<'static, Result<Bytes, BlobError>>;

/// Why a file server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Refused connection, broken connection, or an answer that is none: the server may be dead.
    #[error("file server {server_id} cannot be reached: {cause}")]
    Unreachable { server_id: ServerId, cause: String },
    /// It does not hold the blob, or holds another copy of it than the one named.
    #[error("file server {server_id} does not hold the copy")]
    Missing { server_id: ServerId },
    /// Its copy fails its checksums.
    #[error("the copy on file server {server_id} is damaged")]
    Corrupt { server_id: ServerId },
    /// Its disk is full, or the blob is larger than allowed.
    #[error("file server {server_id} has no room for the blob")]
    Full { server_id: ServerId },
    /// Its disk takes no writes; what is on it can be read.
    #[error("the disk of file server {server_id} takes no writes: {cause}")]
    Unwritable { server_id: ServerId, cause: String },
    /// It refuses: another cluster, server or epoch than expected, or an expired capability.
    #[error("file server {server_id} refuses: {cause}")]
    Refused { server_id: ServerId, cause: String },
    /// The sender of a body broke off; the server keeps nothing.
    #[error("the body broke off: {0}")]
    BodyBroken(String),
}

/// A new copy to be stored.
#[derive(Clone, Debug)]
pub struct PutCopy {
    pub blob_id: BlobId,
    pub copy_id: CopyId,
    /// The exact size where it is known before the body.
    pub length: Option<u64>,
    /// The server stores no more than this many bytes.
    pub max_bytes: u64,
}

/// A copy to be made from one server to another.
#[derive(Clone, Debug)]
pub struct CopyOrder {
    pub blob_id: BlobId,
    /// The id of the copy to be made.
    pub copy_id: CopyId,
    pub source: ServerAddress,
    pub size: u64,
    pub sha256: Sha256,
    /// How fast the bytes may be fetched; as fast as they come where it is `None`.
    pub bytes_per_second: Option<u64>,
    /// Copies of the blob on the target that are listed for deletion: whichever of them is there gives way to the new one.
    pub replaces: Vec<CopyId>,
}

/// The calls of a file server's blob store. Dropping a future or a stream ends the call.
pub trait Blobs: Send + Sync + 'static {
    /// Streams a new copy; answers once it is durable.
    fn put(&self, to: &ServerAddress, copy: PutCopy, body: Body) -> BoxFuture<'static, Result<StoredCopy, BlobError>>;

    /// The bytes in `range` (all of them where it is `None`), checked against their chunk checksums by the server.
    fn get(
        &self,
        from: &ServerAddress,
        blob_id: BlobId,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'static, Result<Body, BlobError>>;

    /// Asks whether the server holds the blob, without its bytes.
    fn head(&self, at: &ServerAddress, blob_id: BlobId) -> BoxFuture<'static, Result<StoredCopy, BlobError>>;

    /// Has `to` fetch a copy from another file server; answers once it is verified and durable.
    fn copy(&self, to: &ServerAddress, order: CopyOrder) -> BoxFuture<'static, Result<StoredCopy, BlobError>>;

    /// Has the server read every chunk of a copy of `size` bytes against its checksum, on its own disk; answers with a
    /// receipt under its present epoch. `Missing` where it holds no copy or another one, `Corrupt` where the copy is
    /// damaged.
    fn verify(
        &self,
        at: &ServerAddress,
        blob_id: BlobId,
        copy_id: CopyId,
        size: u64,
    ) -> BoxFuture<'static, Result<StoredCopy, BlobError>>;

    /// Deletes exactly the copy named. A copy that is not there is no error. `CopyId(0)` deletes the copy only if it is
    /// damaged so that nobody can tell which one it was.
    fn delete(&self, at: &ServerAddress, blob_id: BlobId, copy_id: CopyId)
    -> BoxFuture<'static, Result<(), BlobError>>;

    /// Has the server read and check everything that it holds; answers once it has begun.
    fn scrub(&self, at: &ServerAddress) -> BoxFuture<'static, Result<(), BlobError>>;
}

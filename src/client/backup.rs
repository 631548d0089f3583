//! Calls of backup and restore.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sha2::Digest as _;
use tokio::io::AsyncWriteExt as _;

use super::directory::Directory;
use super::error::ClientError;
use super::request::{Request, Upload};
use super::retry::{Attempts, Failure};
use super::source::Source;
use crate::domain::{BlobId, Sha256};
use crate::protocol::{admin, restore};

impl Directory {
    /// Keeps garbage from going for a while.
    ///
    /// # Errors
    /// Refused with `not_found` where it was to be renewed and has ended.
    pub async fn hold(&self, hold: &admin::Hold) -> Result<(), ClientError> {
        self.nothing("/admin/backup/hold", hold).await
    }

    /// # Errors
    /// As every call.
    pub async fn release(&self, hold_id: &str) -> Result<(), ClientError> {
        self.nothing("/admin/backup/release", &admin::Release { hold_id: hold_id.to_owned() }).await
    }

    /// Writes the cluster's index to a file, durably.
    ///
    /// # Errors
    /// As every call. The file then holds a part of it, or nothing.
    pub async fn backup_index(&self, to: &Path) -> Result<u64, ClientError> {
        Ok(self.fetch(&Request::get("/admin/backup/index"), to).await?.0)
    }

    /// Writes the bytes of a blob to a file, durably; their number and digest are for the caller to compare.
    ///
    /// # Errors
    /// As [`Self::backup_index`].
    pub async fn backup_blob(&self, blob: BlobId, size: u64, to: &Path) -> Result<(u64, Sha256), ClientError> {
        self.fetch(&Request::get("/admin/backup/blob").query("blob_id", blob).query("size", size), to).await
    }

    /// # Errors
    /// As every call.
    pub async fn restore_status(&self) -> Result<restore::Status, ClientError> {
        self.call_json(&Request::get("/restore")).await
    }

    /// # Errors
    /// Refused where the cluster is in use, as all of these.
    pub async fn restore_rows(&self, rows: &restore::Rows) -> Result<(), ClientError> {
        self.nothing("/restore/rows", rows).await
    }

    /// Those of `file_ids` that are not there yet.
    ///
    /// # Errors
    /// As every call.
    pub async fn restore_missing(&self, file_ids: Vec<u64>) -> Result<Vec<u64>, ClientError> {
        let request = Request::change("/restore/missing", self.next_key(), &restore::Files { file_ids })?;
        Ok(self.call_json::<restore::Files>(&request).await?.file_ids)
    }

    /// Stores a file of a backup; `row` is its row of the index.
    ///
    /// # Errors
    /// Refused with `checksum_mismatch` where the bytes are not those of the row.
    pub async fn restore_file(&self, backup: &Sha256, row: &[u8], source: Source) -> Result<(), ClientError> {
        let request = Request::upload("/restore/file", self.next_key(), Upload { source, progress: None })?
            .query("backup", backup)
            .query("row", BASE64_URL_SAFE_NO_PAD.encode(row));
        self.call(&request).await.map(drop)
    }

    /// # Errors
    /// Refused where something is still missing.
    pub async fn restore_done(&self, done: &restore::Done) -> Result<(), ClientError> {
        self.nothing("/restore/done", done).await
    }

    /// Streams an answer to a file, from its start in each attempt, and syncs it.
    async fn fetch(&self, request: &Request, to: &Path) -> Result<(u64, Sha256), ClientError> {
        let mut attempts = Attempts::new(&self.wire.limits, &self.clock, self.wire.nodes.count(), None);
        loop {
            let node = self.node_for(request, attempts.remaining()).await;
            let limit = self.wire.limits.answer.min(attempts.remaining()).max(std::time::Duration::from_millis(1));
            let fetched = match self.wire.attempt(&node, request, limit, false).await {
                Ok(response) => self.land(&node.url, response, to).await,
                Err(failure) => Err(failure),
            };
            match fetched {
                Ok(fetched) => return Ok(fetched),
                Err(failure) => {
                    if !matches!(failure, Failure::Final(_)) {
                        self.wire.nodes.failed(&node);
                    }
                    attempts.after(failure).await?;
                }
            }
        }
    }

    async fn land(
        &self,
        node: &url::Url,
        mut response: reqwest::Response,
        to: &Path,
    ) -> Result<(u64, Sha256), Failure> {
        let cannot = |error| Failure::Final(ClientError::local(format_args!("cannot write {}", to.display()), &error));
        let mut file = tokio::fs::File::create(to).await.map_err(cannot)?;
        let (mut hash, mut size) = (sha2::Sha256::new(), 0);
        loop {
            match tokio::time::timeout(self.wire.limits.stall, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    hash.update(&chunk);
                    size += chunk.len() as u64;
                    file.write_all(&chunk).await.map_err(cannot)?;
                }
                Ok(Ok(None)) => break,
                Ok(Err(_)) => return Err(Failure::Unreachable { cause: format!("{node}: the stream broke off") }),
                Err(_) => return Err(Failure::Unreachable { cause: format!("{node}: the stream stalled") }),
            }
        }
        file.flush().await.map_err(cannot)?;
        file.sync_all().await.map_err(cannot)?;
        Ok((size, Sha256(hash.finalize().into())))
    }
}

/// A row as `/restore/rows` takes it.
pub fn restored_row(table: &str, key: &[u8], value: &[u8]) -> restore::Row {
    restore::Row { table: table.to_owned(), key: BASE64_STANDARD.encode(key), value: BASE64_STANDARD.encode(value) }
}

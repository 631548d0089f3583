//! Calls of backup and restore.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sha2::Digest as _;
use tokio::io::AsyncWriteExt as _;

use super::directory::Directory;
use super::error::ClientError;
use super::request::{Request, Upload};
use super::retry::{Attempts, Failure};
use super::source::Source;
use crate::domain::{BlobId, ContentId, Sha256};
use crate::protocol::problem::Code;
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
        let mut attempts = Attempts::new(&self.wire.limits, &self.clock, None);
        loop {
            // Of another moment in each attempt, so what came of the last one is of no use.
            let begun = tokio::time::Instant::now();
            let mut landing = Landing::create(to).await?;
            match self.fetch_on(&Request::get("/admin/backup/index"), &attempts, &mut landing).await {
                Ok(()) => return Ok(landing.end().await?.0),
                Err(failure) => {
                    attempts.extend(begun.elapsed());
                    attempts.after(failure).await?;
                }
            }
        }
    }

    /// Writes the bytes of a blob to a file, durably; their number and digest are for the caller to compare. A stream
    /// that breaks off goes on where it stopped. Unless `patient`, a cluster that says that no copy can be read is believed at
    /// once.
    ///
    /// # Errors
    /// As [`Self::backup_index`].
    pub async fn backup_blob(
        &self,
        blob: BlobId,
        size: u64,
        to: &Path,
        patient: bool,
    ) -> Result<(u64, Sha256), ClientError> {
        let mut attempts = Attempts::new(&self.wire.limits, &self.clock, None);
        let mut landing = Landing::create(to).await?;
        loop {
            let before = landing.size;
            let request = Request::get("/admin/backup/blob").query("blob_id", blob).query("size", size);
            match self.fetch_on(&request.query("offset", before), &attempts, &mut landing).await {
                Ok(()) => return landing.end().await,
                Err(failure) => {
                    if landing.size > before {
                        attempts.progressed();
                    }
                    match failure {
                        Failure::NotNow { cause, code: code @ Some(Code::NoReplicaAvailable), .. } if !patient => {
                            return Err(ClientError::not_now(code, cause));
                        }
                        failure => attempts.after(failure).await?,
                    }
                }
            }
        }
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

    /// Those of `content_ids` that are not there yet.
    ///
    /// # Errors
    /// As every call.
    pub async fn restore_missing(&self, content_ids: Vec<String>) -> Result<Vec<String>, ClientError> {
        let request = Request::change("/restore/missing", self.next_key(), &restore::Contents { content_ids })?;
        Ok(self.call_json::<restore::Contents>(&request).await?.content_ids)
    }

    /// Stores a content of a backup; `row` is its row of the index.
    ///
    /// # Errors
    /// Refused with `checksum_mismatch` where the bytes are not those of the row.
    pub async fn restore_content(
        &self,
        backup: &Sha256,
        content_id: ContentId,
        row: &[u8],
        source: Source,
    ) -> Result<(), ClientError> {
        let request = Request::upload("/restore/content", self.next_key(), Upload { source, progress: None })?
            .query("backup", backup)
            .query("content_id", content_id)
            .query("row", BASE64_URL_SAFE_NO_PAD.encode(row));
        self.call(&request).await.map(drop)
    }

    /// # Errors
    /// Refused where something is still missing.
    pub async fn restore_done(&self, done: &restore::Done) -> Result<(), ClientError> {
        self.nothing("/restore/done", done).await
    }

    /// One attempt: what an answer has is put behind what came before.
    async fn fetch_on(
        &self,
        request: &Request,
        attempts: &Attempts<'_>,
        landing: &mut Landing<'_>,
    ) -> Result<(), Failure> {
        let node = self.node_for(request, attempts.remaining()).await;
        let limit = attempts.limit();
        let fetched = match self.wire.attempt(&node, request, limit, 0).await {
            Ok(response) => landing.take(&node.url, response, self.wire.limits.stall).await,
            Err(failure) => Err(failure),
        };
        self.wire.noted(&node, fetched)
    }
}

/// A file that bytes arrive in, over several attempts.
struct Landing<'a> {
    path: &'a Path,
    file: tokio::fs::File,
    hash: sha2::Sha256,
    size: u64,
}

impl<'a> Landing<'a> {
    async fn create(path: &'a Path) -> Result<Self, ClientError> {
        // Everybody's bytes, for nobody but whoever backs up.
        match crate::local::create_private(path).map(tokio::fs::File::from_std) {
            Ok(file) => Ok(Self { path, file, hash: sha2::Sha256::new(), size: 0 }),
            Err(error) => Err(cannot_write(path, &error)),
        }
    }

    async fn take(&mut self, node: &url::Url, mut response: reqwest::Response, stall: Duration) -> Result<(), Failure> {
        loop {
            match tokio::time::timeout(stall, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    let written = self.file.write_all(&chunk).await;
                    written.map_err(|error| Failure::Final(cannot_write(self.path, &error)))?;
                    self.hash.update(&chunk);
                    self.size += chunk.len() as u64;
                }
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(_)) => return Err(Failure::Unreachable { cause: format!("{node}: the stream broke off") }),
                Err(_) => return Err(Failure::Unreachable { cause: format!("{node}: the stream stalled") }),
            }
        }
    }

    async fn end(mut self) -> Result<(u64, Sha256), ClientError> {
        let cannot = |error| cannot_write(self.path, &error);
        self.file.flush().await.map_err(cannot)?;
        self.file.sync_all().await.map_err(cannot)?;
        Ok((self.size, Sha256(self.hash.finalize().into())))
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> ClientError {
    ClientError::local(format_args!("cannot write {}", path.display()), error)
}

/// A row as `/restore/rows` takes it.
pub fn restored_row(table: &str, key: &[u8], value: &[u8]) -> restore::Row {
    restore::Row { table: table.to_owned(), key: BASE64_STANDARD.encode(key), value: BASE64_STANDARD.encode(value) }
}

//! Reading a file server's answers: who answers, with what, or why not.

use std::ops::Range;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Response, header};
use serde::de::DeserializeOwned;

use super::{BlobError, ServerAddress};
use crate::domain::{ClusterId, CopyId, Epoch, ServerId};
use crate::protocol::blob::{Receipt, headers};
use crate::protocol::parse_sha256;
use crate::protocol::problem::{Code, Problem};

/// The largest JSON answer is a full inventory page.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The server that is expected to answer.
pub(super) struct Receiver {
    cluster_id: ClusterId,
    server_id: ServerId,
    epoch: Epoch,
}

impl Receiver {
    pub(super) fn new(cluster_id: ClusterId, at: &ServerAddress) -> Self {
        Self { cluster_id, server_id: at.server_id, epoch: at.epoch }
    }

    /// Of an answer with the whole blob.
    pub(super) fn whole_length(&self, response: &Response) -> Result<u64, BlobError> {
        header(response, header::CONTENT_LENGTH.as_str())
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| self.nonsense("its answer has no Content-Length"))
    }

    /// Of an answer with a part. The server must have given exactly the part asked for.
    pub(super) fn range_length(&self, response: &Response, range: &Range<u64>) -> Result<u64, BlobError> {
        let given = header(response, header::CONTENT_RANGE.as_str()).unwrap_or_default();
        let asked = format!("bytes {}-{}/", range.start, range.end - 1);
        if given.starts_with(&asked) {
            Ok(range.end - range.start)
        } else {
            Err(self.nonsense(&format!("asked for {asked}*, it answers {given:?}")))
        }
    }

    pub(super) fn verify_headers(&self, response: &Response) -> Result<(), BlobError> {
        let cluster = header(response, headers::CLUSTER_ID).and_then(ClusterId::parse);
        let server = header(response, headers::SERVER_ID).and_then(|text| text.parse().ok()).map(ServerId);
        match (cluster, server) {
            (Some(cluster), Some(server)) => self.verify_identity(cluster, server),
            _ => Err(self.nonsense("what answers there is no file server")),
        }
    }

    pub(super) fn verify_identity(&self, cluster_id: ClusterId, server_id: ServerId) -> Result<(), BlobError> {
        if cluster_id != self.cluster_id || server_id != self.server_id {
            let cause = format!("at its address answers file server {server_id} of cluster {cluster_id}");
            return Err(BlobError::Refused { server_id: self.server_id, cause });
        }
        Ok(())
    }

    pub(super) fn verify_receipt(&self, receipt: &Receipt, copy_id: CopyId) -> Result<(), BlobError> {
        self.verify_identity(receipt.cluster_id, receipt.server_id)?;
        if receipt.epoch != self.epoch {
            let cause = format!("its receipt is of epoch {}, not {}", receipt.epoch, self.epoch);
            return Err(BlobError::Refused { server_id: self.server_id, cause });
        }
        if receipt.copy_id != copy_id {
            return Err(self.nonsense("its receipt is for another copy"));
        }
        Ok(())
    }

    /// The receipt that the headers of an answer to `HEAD` make.
    pub(super) fn receipt(&self, response: &Response) -> Result<Receipt, BlobError> {
        self.verify_headers(response)?;
        let parsed = || {
            Some(Receipt {
                cluster_id: self.cluster_id,
                server_id: self.server_id,
                epoch: Epoch(header(response, headers::EPOCH)?.parse().ok()?),
                copy_id: CopyId::parse(header(response, headers::COPY_ID)?)?,
                size: header(response, header::CONTENT_LENGTH.as_str())?.parse().ok()?,
                sha256: parse_sha256(header(response, headers::SHA256)?)?,
            })
        };
        parsed().ok_or_else(|| self.nonsense("its headers make no receipt"))
    }

    fn nonsense(&self, cause: &str) -> BlobError {
        BlobError::Unreachable { server_id: self.server_id, cause: cause.to_owned() }
    }
}

/// What an error answer means. `blamed` is the server whose data the call was about: the source of a copy.
pub(super) async fn failure(server_id: ServerId, blamed: ServerId, response: Response) -> BlobError {
    let status = response.status();
    if let Some(cause) = header(&response, headers::REFUSAL) {
        return BlobError::Unwritable { server_id, cause: cause.to_owned() };
    }
    let in_header = header(&response, headers::CODE).and_then(Code::parse);
    let code = match read_json::<Problem>(server_id, response).await {
        Ok(problem) => Code::parse(&problem.code).map(|code| (code, problem.detail)),
        // An answer to HEAD has no body.
        Err(_) => in_header.map(|code| (code, code.title().to_owned())),
    };
    let Some((code, detail)) = code else {
        return BlobError::Unreachable { server_id, cause: format!("it answers {status}") };
    };
    match code {
        Code::NotFound => BlobError::Missing { server_id: blamed },
        Code::DataCorrupt | Code::ChecksumMismatch => BlobError::Corrupt { server_id: blamed },
        Code::NoReplicaAvailable => BlobError::Unreachable { server_id: blamed, cause: detail },
        Code::StorageFull | Code::TooLarge => BlobError::Full { server_id },
        Code::Unauthenticated
        | Code::Forbidden
        | Code::AlreadyExists
        | Code::InvalidRequest
        | Code::RangeNotSatisfiable => BlobError::Refused { server_id, cause: detail },
        _ => BlobError::Unreachable { server_id, cause: format!("{}: {detail}", code.as_str()) },
    }
}

pub(super) async fn read_json<T: DeserializeOwned>(server_id: ServerId, response: Response) -> Result<T, BlobError> {
    let broken = |cause: String| BlobError::Unreachable { server_id, cause };
    let mut stream = response.bytes_stream();
    let mut body = Vec::new();
    loop {
        let piece = tokio::time::timeout(BODY_TIMEOUT, stream.next())
            .await
            .map_err(|_| broken(format!("its answer stalled for {} s", BODY_TIMEOUT.as_secs())))?;
        match piece {
            Some(Ok(piece)) if body.len() + piece.len() <= MAX_ANSWER_BYTES => body.extend_from_slice(&piece),
            Some(Ok(_)) => return Err(broken("its answer is too large".to_owned())),
            Some(Err(error)) => return Err(unreachable(server_id, &error)),
            None => break,
        }
    }
    serde_json::from_slice(&body).map_err(|error| broken(format!("its answer is not understood: {error}")))
}

/// A failed call, with the whole chain of causes.
pub(super) fn unreachable(server_id: ServerId, error: &reqwest::Error) -> BlobError {
    BlobError::Unreachable { server_id, cause: crate::trust::why(error) }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

//! `/read`: files on their way out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, RANGE};
use http::{HeaderMap, HeaderName};
use reqwest::Response;
use sha2::Digest;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::directory::Directory;
use super::error::ClientError;
use super::request::Request;
use super::retry::{Attempts, Failure};
use crate::domain::Sha256;
use crate::protocol::api;

/// The digest of the whole file (RFC 9530), whatever part of it is sent.
pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Which part of which version is read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The first byte; 0 for the whole file.
    pub from: u64,
    /// The byte after the last one; to the end where it is not given.
    pub to: Option<u64>,
    /// An etag: the read is refused where another version is there.
    pub if_match: Option<String>,
    /// An older version; the present one where it is not given.
    pub version: Option<u64>,
}

/// What a finished download was.
#[derive(Clone, Debug)]
pub struct Downloaded {
    pub head: ReadHead,
    /// How many bytes were written.
    pub bytes: u64,
    /// Whether they were compared with the file's digest. Bytes that differ from it are an error, so `false` says
    /// that a part was read, or that the node sent no digest.
    pub verified: bool,
}

/// What a node says about a file beside its bytes.
#[derive(Clone, Debug, Default)]
pub struct ReadHead {
    pub etag: Option<String>,
    pub content_type: Option<String>,
    /// Of the whole file.
    pub sha256: Option<Sha256>,
    /// Of the whole file, in bytes.
    pub size: Option<u64>,
}

/// What was received so far, over all attempts.
struct Received {
    /// In the file: where the next byte belongs.
    offset: u64,
    hasher: Option<sha2::Sha256>,
    head: Option<ReadHead>,
}

impl Directory {
    /// Reads a file into `to`, in constant memory. A stream that breaks off goes on at another node at the byte where
    /// it stopped, in the same version. The whole file is compared with its digest; `to` has its bytes by then,
    /// so keep them aside until this returns.
    ///
    /// # Errors
    /// Refused with `version_conflict` where the file was replaced between two parts of it.
    pub async fn read<W: AsyncWrite + Unpin>(
        &self,
        file: &api::FileName,
        options: &ReadOptions,
        to: &mut W,
    ) -> Result<Downloaded, ClientError> {
        let whole = options.from == 0 && options.to.is_none();
        let mut received =
            Received { offset: options.from, hasher: whole.then(<sha2::Sha256 as Digest>::new), head: None };
        let mut attempts = Attempts::new(&self.wire.limits, &self.clock, None);
        loop {
            let before = received.offset;
            let result = self.read_on(file, options, &mut received, &attempts, to).await;
            if received.offset > before {
                attempts.progressed();
            }
            match result {
                Ok(()) => break,
                Err(failure) => attempts.after(failure).await?,
            }
        }
        to.flush().await.map_err(|error| ClientError::local("cannot write what was read", &error))?;
        let head = received.head.unwrap_or_default();
        let digest = received.hasher.map(|hasher| Sha256(hasher.finalize().into()));
        if let (Some(got), Some(wanted)) = (digest, head.sha256)
            && got != wanted
        {
            return Err(ClientError::untrusted(format!(
                "the bytes that arrived are not the file's (their SHA-256 is {got}, it should be {wanted}): do not \
                     use them, read the file again"
            )));
        }
        let verified = digest.is_some() && head.sha256.is_some();
        Ok(Downloaded { bytes: received.offset - options.from, head, verified })
    }

    /// What `/read` says about a file without its bytes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_head(&self, file: &api::FileName) -> Result<ReadHead, ClientError> {
        let answer = self.call(&Request::head("/read").file(file)).await?;
        Ok(ReadHead::of(&answer.headers))
    }

    /// One attempt from where the last one stopped.
    async fn read_on<W: AsyncWrite + Unpin>(
        &self,
        file: &api::FileName,
        options: &ReadOptions,
        received: &mut Received,
        attempts: &Attempts<'_>,
        to: &mut W,
    ) -> Result<(), Failure> {
        let mut request = Request::get("/read").file(file).query_opt("version", options.version);
        let pinned = received.head.as_ref().and_then(|head| head.etag.as_ref()).or(options.if_match.as_ref());
        if let Some(etag) = pinned {
            request.set(IF_MATCH, etag).map_err(Failure::Final)?;
        }
        if options.to.is_some_and(|end| end <= received.offset) {
            return Ok(());
        }
        let ranged = received.offset > 0 || options.to.is_some();
        if ranged {
            let end = options.to.map(|end| (end - 1).to_string()).unwrap_or_default();
            request.set(RANGE, &format!("bytes={}-{end}", received.offset)).map_err(Failure::Final)?;
        }

        let node = self.node_for(&request, attempts.remaining()).await;
        let limit = attempts.limit();
        let result = match self.wire.attempt(&node, &request, limit, 0).await {
            Ok(response) => self.stream(&node.url, response, options, received, to).await,
            Err(failure) => Err(failure),
        };
        self.wire.noted(&node, result)
    }

    /// Writes the body of one answer to `to`, until its end.
    async fn stream<W: AsyncWrite + Unpin>(
        &self,
        node: &url::Url,
        mut response: Response,
        options: &ReadOptions,
        received: &mut Received,
        to: &mut W,
    ) -> Result<(), Failure> {
        let broke_off = |cause: String| Failure::Unknown { cause: format!("{node}: {cause}"), silent: true };
        let head = ReadHead::of(response.headers());
        let start = start_of(&response).map_err(broke_off)?;
        if start > received.offset {
            return Err(broke_off(format!("answered from byte {start} on, not from {}", received.offset)));
        }
        if let Some(first) = &received.head
            && first.etag != head.etag
        {
            return Err(Failure::Final(ClientError::untrusted(
                "the file was replaced while it was read: read it again",
            )));
        }
        let end = options.to.into_iter().chain(head.size).min();
        received.head.get_or_insert(head);

        // A node that knows no ranges sends what was received before once more.
        let mut skip = received.offset - start;
        loop {
            let at = received.offset;
            let next = async {
                match tokio::time::timeout(self.wire.limits.stall, response.chunk()).await {
                    Ok(Ok(chunk)) => Ok(chunk),
                    Ok(Err(_)) => Err(broke_off(format!("the stream broke off at byte {at}"))),
                    Err(_) => Err(broke_off(format!("the stream stalled at byte {at}"))),
                }
            };
            // A node that was cut off in mid-file is left long before a file server that is slow.
            let Some(chunk) = self.wire.while_it_lives(node, true, next).await? else { break };
            let passed_by = skip.min(chunk.len() as u64);
            skip -= passed_by;
            let chunk = &chunk[usize::try_from(passed_by).expect("it is at most a chunk's length")..];
            if let Some(hasher) = &mut received.hasher {
                hasher.update(chunk);
            }
            to.write_all(chunk)
                .await
                .map_err(|error| Failure::Final(ClientError::local("cannot write what was read", &error)))?;
            received.offset += chunk.len() as u64;
        }
        match end {
            Some(end) if received.offset < end => {
                Err(broke_off(format!("the stream ended at byte {} of {end}", received.offset)))
            }
            _ => Ok(()),
        }
    }
}

impl ReadHead {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let size = match text(&CONTENT_RANGE) {
            Some(range) => range.rsplit_once('/').and_then(|(_, size)| size.parse().ok()),
            None => text(&CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        };
        Self {
            etag: text(&ETAG).map(str::to_owned),
            content_type: text(&CONTENT_TYPE).map(str::to_owned),
            sha256: text(&REPR_DIGEST).and_then(sha256_of),
            size,
        }
    }
}

/// The `sha-256` member of a `Repr-Digest`: a dictionary of algorithms, each with `:base64:`.
fn sha256_of(digest: &str) -> Option<Sha256> {
    let value = digest.split(',').find_map(|member| member.trim().strip_prefix("sha-256="))?;
    let base64 = value.strip_prefix(':')?.strip_suffix(':')?;
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    Some(Sha256(bytes.try_into().ok()?))
}

/// Where in the file an answer begins.
fn start_of(response: &Response) -> Result<u64, String> {
    if response.status() != http::StatusCode::PARTIAL_CONTENT {
        return Ok(0);
    }
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    range
        .strip_prefix("bytes ")
        .and_then(|range| range.split_once('-'))
        .and_then(|(start, _)| start.trim().parse().ok())
        .ok_or_else(|| "answered with a part without saying which".to_owned())
}

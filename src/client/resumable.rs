//! Large files on their way in: an upload that goes on where it broke off, at another node if need be, in this run of the
//! program or in the next one.
//!
//! The loop: ask how far the upload has come, send what is behind that byte, and after whatever goes wrong ask again. What is
//! sent is bounded by the network alone; time is given back with each byte that has come further.
//!
//! Whoever begins looks first whether an upload to the same place, of the same length, was begun before and broke off. Its first
//! bytes are compared by their digest, so that another file of the same length is never gone on with.

use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONTENT_TYPE, IF_MATCH, LOCATION};
use http::{HeaderMap, HeaderName, Method};
use tokio::io::AsyncReadExt;

use super::directory::Directory;
use super::error::ClientError;
use super::request::{Request, Upload};
use super::retry::{Attempts, Failure};
use super::source::{Progress, RunningDigest, Source};
use crate::protocol::api::{self, FileName};
use crate::protocol::problem::Code;
use crate::protocol::uploads::{
    FILE_ID, Finish, LENGTH, METADATA, OFFSET, OFFSET_OCTETS, RESUMABLE, Target, UploadInfo, Uploads, VERSION,
};

/// What is larger goes this way: as large as an extent usually is, so that what breaks off has something to go on with.
const ABOVE: u64 = 64 << 20;
/// Pages of uploads that were begun before which are looked through.
const PAGES: usize = 10;

/// A file on its way.
pub(super) struct Sending<'a> {
    pub(super) target: Target,
    pub(super) source: &'a Source,
    pub(super) content_type: Option<&'a str>,
    pub(super) lock_token: Option<&'a str>,
    pub(super) if_match: Option<&'a str>,
    pub(super) progress: Option<&'a Progress>,
}

impl Sending<'_> {
    /// Whether it is worth more than one request.
    pub(super) fn is_large(&self) -> bool {
        self.source.length() > ABOVE && self.source.begins_anywhere()
    }

    fn is_of(&self, begun: &UploadInfo) -> bool {
        let named = |upload: &UploadInfo| (upload.file_id, upload.path.clone(), upload.owner.clone(), upload.update);
        let Target { file_id, path, owner, update } = self.target.clone();
        let type_matches = self.content_type.is_none_or(|wanted| wanted == begun.content_type);
        named(begun) == (file_id, path, owner, update)
            && begun.length == Some(self.source.length())
            && begun.stored > 0
            && type_matches
    }
}

/// How far an upload has come.
enum Come {
    /// To this byte.
    To(u64),
    /// It is this file.
    File(u64),
}

type Digest = Arc<Mutex<RunningDigest>>;

impl Directory {
    /// Stores a file in as many requests as it takes.
    ///
    /// # Errors
    /// As for a write or an update. What has come is kept for a day: the same call goes on behind it.
    pub(super) async fn send(&self, sending: &Sending<'_>) -> Result<api::Stat, ClientError> {
        let digest = Digest::default();
        let id = match self.begun_before(sending, &digest).await? {
            Some(id) => id,
            None => self.begin(sending).await?,
        };
        let path = format!("/uploads/{id}");
        let mut attempts = Attempts::new(&self.wire.limits, &self.clock, None);
        let mut farthest = 0;
        let file_id = loop {
            let failure = match self.how_far(&path, &attempts).await {
                Ok(Come::File(file_id)) => break file_id,
                Ok(Come::To(offset)) => {
                    if offset > farthest {
                        farthest = offset;
                        attempts.progressed();
                    }
                    match self.append(&path, sending, offset, &digest, &attempts).await {
                        Ok(Some(file_id)) => break file_id,
                        Ok(None) => continue,
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            attempts.after(failure).await?;
        };
        let stat = self.stat(&FileName { file_id: Some(file_id), ..FileName::default() }).await?;
        let running = digest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let whole = running.at() == sending.source.length();
        match &stat.sha256 {
            Some(stored) if whole && *stored != running.digest().to_string() => Err(ClientError::untrusted(format!(
                "other bytes are stored than were sent (their SHA-256 is {stored}, it should be {}): store it again as a new \
                 version",
                running.digest()
            ))),
            _ => Ok(stat),
        }
    }

    /// An upload of this very file to this very place, that broke off.
    async fn begun_before(&self, sending: &Sending<'_>, digest: &Digest) -> Result<Option<String>, ClientError> {
        let mut cursor = None;
        for _ in 0..PAGES {
            let page: Uploads = self.call_json(&Request::get("/uploads").query_opt("cursor", cursor)).await?;
            for begun in page.uploads.iter().filter(|begun| sending.is_of(begun)) {
                if let Some(read) = digest_of(sending.source, begun.stored).await?
                    && read.digest().to_string() == begun.sha256
                {
                    *digest.lock().unwrap_or_else(PoisonError::into_inner) = read;
                    return Ok(Some(begun.upload_id.clone()));
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        Ok(None)
    }

    async fn begin(&self, sending: &Sending<'_>) -> Result<String, ClientError> {
        let Target { file_id, path, owner, update } = &sending.target;
        let mut request = Request::without_body(Method::POST, "/uploads")
            .query_opt("file_id", *file_id)
            .query_opt("path", path.as_deref())
            .query_opt("owner", owner.as_deref())
            .query("update", update)
            .with_key(self.next_key())?;
        tus(&mut request)?;
        request.set(HeaderName::from_static(LENGTH), &sending.source.length().to_string())?;
        if let Some(content_type) = sending.content_type {
            use base64::Engine as _;
            let value = base64::prelude::BASE64_STANDARD.encode(content_type);
            request.set(HeaderName::from_static(METADATA), &format!("content_type {value}"))?;
        }
        if let Some(etag) = sending.if_match {
            request.set(IF_MATCH, etag)?;
        }
        if let Some(token) = sending.lock_token {
            request.set(HeaderName::from_static(api::LOCK_TOKEN), token)?;
        }
        let answer = self.call(&request).await?;
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match location.rsplit('/').next() {
            Some(id) if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(id.to_owned()),
            _ => Err(ClientError::untrusted("the answer names no upload: check the url")),
        }
    }

    async fn how_far(&self, path: &str, attempts: &Attempts<'_>) -> Result<Come, Failure> {
        let mut request = Request::head(path.to_owned());
        tus(&mut request).map_err(Failure::Final)?;
        let node = self.node_for(&request, attempts.remaining()).await;
        let asked = self.whole_attempt(&node, &request, attempts.limit(), 0).await;
        let headers = self.wire.noted(&node, asked)?.headers;
        let number = |name| number(&headers, name);
        match (number(FILE_ID), number(OFFSET)) {
            (Some(file_id), _) => Ok(Come::File(file_id)),
            (None, Some(offset)) => Ok(Come::To(offset)),
            (None, None) => {
                Err(Failure::Final(ClientError::untrusted("the answer does not say how far the upload is")))
            }
        }
    }

    /// Sends what is behind a byte. The file, where it was whole with that.
    async fn append(
        &self,
        path: &str,
        sending: &Sending<'_>,
        offset: u64,
        digest: &Digest,
        attempts: &Attempts<'_>,
    ) -> Result<Option<u64>, Failure> {
        let source = sending.source;
        let from = digest.lock().unwrap_or_else(PoisonError::into_inner).at();
        if from < offset {
            // What somebody has sent before us, and a digest has not seen yet.
            let read = digest_on(source, digest, offset).await;
            read.map_err(|error| {
                Failure::Final(ClientError::local(format_args!("cannot read {}", source.name()), &error))
            })?;
        }
        let progress =
            sending.progress.cloned().map(|progress| -> Progress { Arc::new(move |sent| progress(offset + sent)) });
        let upload = Upload { source: source.rest(offset, digest), progress };
        let mut request = Request::patch(path.to_owned(), upload);
        let set = |request: &mut Request| {
            tus(request)?;
            request.set(CONTENT_TYPE, OFFSET_OCTETS)?;
            request.set(HeaderName::from_static(OFFSET), &offset.to_string())
        };
        set(&mut request).map_err(Failure::Final)?;
        let node = self.node_for(&request, attempts.remaining()).await;
        let sent = self.whole_attempt(&node, &request, attempts.limit(), attempts.broken()).await;
        match self.wire.noted(&node, sent) {
            Ok(answer) => Ok(number(&answer.headers, FILE_ID)),
            // Somebody else was faster, or an attempt of ours was.
            Err(Failure::Final(error)) if error.code() == Some(Code::OffsetConflict) => Ok(None),
            // It was whole before: the question how far it is tells.
            Err(Failure::Final(error)) if error.code() == Some(Code::NotFound) => {
                match self.how_far(path, attempts).await? {
                    Come::File(file_id) => Ok(Some(file_id)),
                    Come::To(_) => Ok(None),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// What the caller has begun to upload: one page.
    ///
    /// # Errors
    /// As every call.
    pub async fn uploads(&self, cursor: Option<&str>) -> Result<Uploads, ClientError> {
        self.call_json(&Request::get("/uploads").query_opt("cursor", cursor)).await
    }

    /// Makes a file of an upload that has all its bytes.
    ///
    /// # Errors
    /// Refused with `offset_conflict` where it has not.
    pub async fn finish_upload(&self, finish: &Finish) -> Result<api::Stat, ClientError> {
        self.call_json(&Request::change("/uploads/finish", self.next_key(), finish)?).await
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// Refused with `not_found` where there is none.
    pub async fn give_up_upload(&self, upload_id: &str) -> Result<(), ClientError> {
        let mut request = Request::without_body(Method::DELETE, format!("/uploads/{upload_id}"));
        tus(&mut request)?;
        self.call(&request).await.map(drop)
    }
}

fn tus(request: &mut Request) -> Result<(), ClientError> {
    request.set(HeaderName::from_static(RESUMABLE), VERSION)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The digest of the first bytes of a source; nothing where it has fewer.
async fn digest_of(source: &Source, bytes: u64) -> Result<Option<RunningDigest>, ClientError> {
    let digest = Digest::default();
    let read = digest_on(source, &digest, bytes).await;
    read.map_err(|error| ClientError::local(format_args!("cannot read {}", source.name()), &error))?;
    let read = digest.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((read.at() == bytes).then_some(read))
}

/// Reads on up to a byte.
async fn digest_on(source: &Source, digest: &Digest, to: u64) -> std::io::Result<()> {
    let mut at = digest.lock().unwrap_or_else(PoisonError::into_inner).at();
    let mut reader = source.read_from(at)?.take(to.saturating_sub(at));
    let mut chunk = vec![0; 256 * 1024];
    loop {
        let read = reader.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        digest.lock().unwrap_or_else(PoisonError::into_inner).take(at, &chunk[..read]);
        at += read as u64;
    }
}

//! The sending of one attempt at one node, with its redirects.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Response};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use url::Url;

use super::answer::said_no;
use super::error::ClientError;
use super::nodes::{Chosen, Nodes};
use super::request::{Request, RequestBody, Upload};
use super::retry::{Failure, Limits};
use super::source::{Progress, SourceReader};
use crate::protocol::api;
use crate::trust::distrust;

/// How many redirects one attempt follows. One leads to the leader; another is an election on the way.
const MAX_REDIRECTS: usize = 3;
/// The part of a file that is in memory at a time.
const CHUNK_BYTES: usize = 256 * 1024;
/// How often a running upload is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);
/// How long a body is held back when it is sent again, times the attempts that broke off so far, `MAX_HOLD_BACKS` at most.
/// A node that refuses early closes the connection, and the refusal is lost when the body runs into the closed socket;
/// with the body held back it arrives.
const HOLD_BACK: Duration = Duration::from_millis(100);
const MAX_HOLD_BACKS: u32 = 4;
/// A body of no more than this is in the node's hands before it can refuse: it is not held back.
const SMALL_BODY: u64 = 64 * 1024;
/// A body of no more than this is soon sent again: a tenth of a second at 300 Mbit/s.
const CHEAP_BODY: u64 = 4 * 1024 * 1024;
/// The slowest that file servers sync and copy what was sent, for the time until the answer.
const SETTLE_BYTES_PER_SECOND: u64 = 16 * 1024 * 1024;

/// What every attempt needs: connections, the nodes that may get the token, and the token.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) http: reqwest::Client,
    pub(super) nodes: Arc<Nodes>,
    pub(super) limits: Limits,
    pub(super) token: Option<HeaderValue>,
}

/// What the sender of a body and its watcher share.
#[derive(Debug, Default)]
struct Transfer {
    sent: AtomicU64,
    /// All of it was handed to the network. Before that no server can have taken the whole, and none keeps a part.
    finished: AtomicBool,
    broken: Mutex<Option<io::Error>>,
}

impl Wire {
    /// Remembers how an attempt ended, for the choice of the next node.
    pub(super) fn noted<T>(&self, node: &Chosen, attempt: Result<T, Failure>) -> Result<T, Failure> {
        let mut failure = match attempt {
            Ok(done) => {
                self.nodes.worked(node);
                return Ok(done);
            }
            Err(failure) => failure,
        };
        if let Failure::NotNow { retry_after, .. } = &mut failure
            && self.nodes.another_is_fresh(node)
        {
            // The node spoke for itself alone: another one may not be cut off.
            *retry_after = None;
        }
        if !matches!(failure, Failure::Final(_)) {
            self.nodes.failed(node, failure.is_silence());
        }
        Err(failure)
    }

    /// One attempt at one node, with its redirects followed: the head of a 2xx answer. `breaks` attempts broke off
    /// before. Takes as long as `limit`, or for an upload as long as it moves.
    pub(super) async fn attempt(
        &self,
        node: &Chosen,
        request: &Request,
        limit: Duration,
        breaks: u32,
    ) -> Result<Response, Failure> {
        let mut url = request.url_at(&node.url);
        let mut ticket = false;
        for _ in 0..=MAX_REDIRECTS {
            let mut headers = request.headers.clone();
            if !request.anonymous
                && !ticket
                && let Some(token) = &self.token
            {
                headers.insert(AUTHORIZATION, token.clone());
            }
            if matches!(request.body, RequestBody::Source(_)) && !node.leads && !ticket {
                // A node that does not lead then does the upload itself, and the body is not sent twice.
                headers.insert(HeaderName::from_static(api::ROUTING), HeaderValue::from_static("forward"));
            }
            let response = match &request.body {
                RequestBody::Source(upload) => {
                    let sending = self.send_upload(url.clone(), request, headers, upload, breaks);
                    self.while_it_lives(&url, upload.source.length() > CHEAP_BODY, sending).await?
                }
                _ => {
                    let sending = self.send_small(url.clone(), request, headers, limit);
                    self.while_it_lives(&url, false, sending).await?
                }
            };
            if !matches!(response.status().as_u16(), 307 | 308) {
                return if response.status().is_success() {
                    Ok(response)
                } else {
                    Err(said_no(&node.url, response, limit).await)
                };
            }
            self.nodes.forget_leader();
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok()).filter(|next| self.nodes.may_call(next));
            let Some(next) = next else {
                return Err(Failure::Final(ClientError::untrusted(format!(
                    "{} redirects to no usable address: check that it is a Ringmaster directory node",
                    node.url
                ))));
            };
            ticket = next.query_pairs().any(|(name, _)| name == "ticket");
            if !ticket && !self.nodes.knows(&next) {
                return Err(Failure::Final(ClientError::untrusted(format!(
                    "{} redirects to a node that is not known here, the token was not sent there: name all nodes",
                    node.url
                ))));
            }
            url = next;
        }
        Err(Failure::NotNow { cause: format!("{} redirects without end", node.url), code: None, retry_after: None })
    }

    async fn send_small(
        &self,
        url: Url,
        request: &Request,
        headers: HeaderMap,
        limit: Duration,
    ) -> Result<Response, Failure> {
        let mut builder = self.http.request(request.method.clone(), url.clone()).headers(headers);
        if let RequestBody::Json(json) = &request.body {
            builder = builder.body(json.clone());
        }
        match tokio::time::timeout(limit, builder.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.broken(&url, error)),
            Err(_) => Err(Failure::Unknown { cause: format!("{} did not answer in time", origin(&url)), silent: true }),
        }
    }

    async fn send_upload(
        &self,
        url: Url,
        request: &Request,
        mut headers: HeaderMap,
        upload: &Upload,
        breaks: u32,
    ) -> Result<Response, Failure> {
        let (node, at) = (origin(&url), url.clone());
        let source = &upload.source;
        let local = |error: &io::Error| {
            Failure::Final(ClientError::local(format_args!("cannot read {}", source.name()), error))
        };
        let reader = source.open().await.map_err(|error| local(&error))?;
        let transfer = Arc::new(Transfer::default());
        transfer.finished.store(source.length() == 0, Ordering::Release);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(source.length()));
        let builder = self.http.request(request.method.clone(), url).headers(headers);
        let builder = if source.length() == 0 {
            builder
        } else {
            let hold_backs = if source.length() > SMALL_BODY { breaks.min(MAX_HOLD_BACKS) } else { 0 };
            let hold_back = HOLD_BACK * hold_backs;
            builder.body(body(reader, source.length(), hold_back, transfer.clone(), upload.progress.clone()))
        };

        let settle = Duration::from_secs(source.length() / SETTLE_BYTES_PER_SECOND);
        let mut sending = pin!(builder.send());
        let mut seen = 0;
        let mut moved_at = Instant::now();
        loop {
            tokio::select! {
                result = &mut sending => return result.map_err(|error| {
                    let own = transfer.broken.lock().unwrap_or_else(PoisonError::into_inner).take();
                    match own {
                        Some(own) => local(&own),
                        None if transfer.finished.load(Ordering::Acquire) || error.is_connect() => self.broken(&at, error),
                        None => Failure::Unreachable { cause: text(&node, error) },
                    }
                }),
                () = tokio::time::sleep(WATCH_INTERVAL) => {
                    let sent = transfer.sent.load(Ordering::Relaxed);
                    if sent != seen {
                        seen = sent;
                        moved_at = Instant::now();
                    }
                    let finished = transfer.finished.load(Ordering::Acquire);
                    let allowed = self.limits.stall + if finished { settle } else { Duration::ZERO };
                    if moved_at.elapsed() > allowed {
                        let cause = format!("{node} took no more bytes and did not answer");
                        return Err(if finished {
                            Failure::Unknown { cause, silent: true }
                        } else {
                            Failure::Unreachable { cause }
                        });
                    }
                }
            }
        }
    }
}

impl Wire {
    /// What a broken exchange means: without a connection nothing was sent. Where no node shows a certificate that is
    /// believed, it is of no use to go on.
    fn broken(&self, url: &Url, error: reqwest::Error) -> Failure {
        let node = origin(url);
        match distrust(&error) {
            Some(why) if self.nodes.distrust(url) => Failure::Final(ClientError::untrusted(format!("{node}: {why}"))),
            Some(why) => Failure::Unreachable { cause: format!("{node}: {why}") },
            None if error.is_connect() => Failure::Unreachable { cause: text(&node, error) },
            None => Failure::Unknown { cause: text(&node, error), silent: true },
        }
    }
}

/// The body of an upload: exactly `length` bytes of `reader`, a chunk in memory at a time.
fn body(
    reader: SourceReader,
    length: u64,
    hold_back: Duration,
    transfer: Arc<Transfer>,
    progress: Option<Progress>,
) -> Body {
    let chunks = stream::try_unfold((reader, 0_u64), move |(mut reader, sent)| {
        let transfer = transfer.clone();
        let progress = progress.clone();
        async move {
            if sent == length {
                return Ok(None);
            }
            if sent == 0 && !hold_back.is_zero() {
                tokio::time::sleep(hold_back).await;
            }
            match read_chunk(&mut reader, length - sent).await {
                Ok(chunk) => {
                    let sent = sent + chunk.len() as u64;
                    transfer.sent.store(sent, Ordering::Relaxed);
                    transfer.finished.store(sent == length, Ordering::Release);
                    if let Some(progress) = &progress {
                        progress(sent);
                    }
                    Ok(Some((chunk, (reader, sent))))
                }
                Err(error) => {
                    let told = io::Error::new(error.kind(), error.to_string());
                    *transfer.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(told)
                }
            }
        }
    });
    Body::wrap_stream(chunks)
}

async fn read_chunk(reader: &mut SourceReader, left: u64) -> io::Result<Bytes> {
    let most = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
    let mut buffer = BytesMut::with_capacity(most);
    let read = reader.take(most as u64).read_buf(&mut buffer).await?;
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended early: it was cut short while it was sent"));
    }
    Ok(buffer.freeze())
}

/// The innermost cause, which is the one that says something. Never the url, which may hold a ticket.
fn text(node: &str, error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("{node}: {innermost}")
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

//! The blob calls over HTTP. Each call mints its own capability.

mod answer;
mod streams;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use reqwest::{Method as HttpMethod, RequestBuilder, Response, StatusCode, header};

use self::answer::{Receiver, failure, read_json, unreachable};
use super::{BlobError, Blobs, Body, CopyOrder, PutCopy, ServerAddress, StoredCopy};
use crate::client::request_id;
use crate::clock::SharedClock;
use crate::domain::{BlobId, ClusterId, CopyId, ServerId};
use crate::protocol::api::REQUEST_ID;
use crate::protocol::blob::{CopyRequest, InventoryPage, InventoryQuery, Receipt};
use crate::protocol::capability::{Capability, Method};
use crate::protocol::signature::SigningKey;
use crate::trust::{Credentials, Identity, Members};

/// A file server is on the same network: one that has not answered a SYN and its first repetition is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For a call that moves no blob bytes, and for each piece of one that does.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the file server's own limit on idle connections, so that the client closes first.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// A capability is used at once; the servers tolerate five more minutes for their clocks.
const CAPABILITY_LIFETIME_MS: u64 = 60_000;
/// How slow a copy between two servers may be before its permission to read ends, unless it is paced slower still.
const SLOWEST_COPY: u64 = 1024 * 1024;
/// How slow a server may be at reading a copy from its own disk, beside [`ANSWER_TIMEOUT`].
const SLOWEST_VERIFY: u64 = 20 * 1024 * 1024;

/// The cluster that this node belongs to, once it knows.
type ClusterSource = Arc<dyn Fn() -> Option<ClusterId> + Send + Sync>;

/// File servers reached over HTTP. A clone shares the connections.
#[derive(Clone)]
pub struct HttpBlobs {
    members: Members,
    /// Signs what another file server is to come with.
    signer: Option<SigningKey>,
    cluster_id: ClusterSource,
    clock: SharedClock,
    /// Of the request on whose behalf a call is made.
    request_id: Option<Arc<str>>,
}

impl HttpBlobs {
    /// `cluster_id` is asked at each call; while it knows none, calls are refused.
    ///
    /// `signer` is a directory node's, without which no copies can be ordered.
    pub fn new(
        credentials: Credentials,
        signer: Option<SigningKey>,
        cluster_id: impl Fn() -> Option<ClusterId> + Send + Sync + 'static,
        clock: SharedClock,
    ) -> Self {
        let members = Members::new(credentials, |client| {
            client
                .tcp_nodelay(true)
                .retry(reqwest::retry::never())
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .pool_max_idle_per_host(64)
        });
        Self { members, signer, cluster_id: Arc::new(cluster_id), clock, request_id: None }
    }

    /// As [`Blobs::get`], with a capability that somebody else minted.
    ///
    /// # Errors
    /// As [`Blobs::get`].
    pub fn get_with(
        &self,
        from: &ServerAddress,
        blob_id: BlobId,
        range: Option<Range<u64>>,
        capability: &str,
    ) -> BoxFuture<'static, Result<Body, BlobError>> {
        let this = self.on_behalf();
        let from = from.clone();
        let capability = capability.to_owned();
        async move {
            let cluster_id = this.cluster(&from)?;
            if range.as_ref().is_some_and(Range::is_empty) {
                return Ok(futures_util::stream::empty().boxed());
            }
            let mut request = this.request(&from, HttpMethod::GET, &blob_url(&from, blob_id), &capability)?;
            if let Some(range) = &range {
                request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1));
            }
            let response = in_time(&from, request.send()).await?;
            let receiver = Receiver::new(cluster_id, &from);
            let length = match (&range, response.status()) {
                (None, StatusCode::OK) => receiver.whole_length(&response)?,
                (Some(range), StatusCode::PARTIAL_CONTENT) => receiver.range_length(&response, range)?,
                _ => return Err(failure(from.server_id, from.server_id, response).await),
            };
            receiver.verify_headers(&response)?;
            Ok(streams::complete(from.server_id, length, ANSWER_TIMEOUT, response))
        }
        .boxed()
    }

    /// One page of what the server holds, in ascending order of blob ids.
    ///
    /// # Errors
    /// As for the other calls.
    pub async fn inventory(
        &self,
        at: &ServerAddress,
        after: Option<BlobId>,
        limit: usize,
    ) -> Result<InventoryPage, BlobError> {
        let capability = self.mint(at, Method::Inventory, None, 0)?;
        let url = format!("{}/blobs", at.url.trim_end_matches('/'));
        let request = self.request(at, HttpMethod::GET, &url, &capability)?;
        let request = request.query(&InventoryQuery { after, limit: Some(limit) });
        let response = in_time(at, request.send()).await?;
        if response.status() != StatusCode::OK {
            return Err(failure(at.server_id, at.server_id, response).await);
        }
        let page: InventoryPage = read_json(at.server_id, response).await?;
        Receiver::new(self.cluster(at)?, at).verify_identity(page.cluster_id, page.server_id)?;
        Ok(page)
    }

    /// Has the server read and check everything that it holds. One that is at it already goes on.
    ///
    /// # Errors
    /// As for the other calls.
    pub async fn scrub(&self, at: &ServerAddress) -> Result<(), BlobError> {
        let capability = self.mint(at, Method::Scrub, None, 0)?;
        let url = format!("{}/scrub", at.url.trim_end_matches('/'));
        let response = in_time(at, self.request(at, HttpMethod::POST, &url, &capability)?.send()).await?;
        match response.status() {
            StatusCode::ACCEPTED => Ok(()),
            _ => Err(failure(at.server_id, at.server_id, response).await),
        }
    }

    fn cluster(&self, at: &ServerAddress) -> Result<ClusterId, BlobError> {
        (self.cluster_id)().ok_or_else(|| BlobError::Refused {
            server_id: at.server_id,
            cause: "this node does not know its cluster yet".to_owned(),
        })
    }

    fn mint(
        &self,
        at: &ServerAddress,
        method: Method,
        blob_id: Option<BlobId>,
        max_bytes: u64,
    ) -> Result<String, BlobError> {
        Ok(self.mint_for(at, method, blob_id, max_bytes, CAPABILITY_LIFETIME_MS)?.mint())
    }

    fn mint_for(
        &self,
        at: &ServerAddress,
        method: Method,
        blob_id: Option<BlobId>,
        max_bytes: u64,
        lifetime_ms: u64,
    ) -> Result<Capability, BlobError> {
        let capability = Capability {
            method,
            cluster_id: self.cluster(at)?,
            server_id: at.server_id,
            epoch: method.writes().then_some(at.epoch),
            blob_id,
            max_bytes,
            expires_at_wall_ms: self.clock.agreed_ms().saturating_add(lifetime_ms),
        };
        Ok(capability)
    }

    fn request(
        &self,
        at: &ServerAddress,
        method: HttpMethod,
        url: &str,
        capability: &str,
    ) -> Result<RequestBuilder, BlobError> {
        let client = self.members.member(Identity::FileServer(at.uuid));
        let client =
            client.map_err(|error| BlobError::Unreachable { server_id: at.server_id, cause: format!("{error:#}") })?;
        let request = client.request(method, url).bearer_auth(capability);
        Ok(match self.request_id.clone().or_else(request_id::current) {
            Some(id) => request.header(REQUEST_ID, id.as_ref()),
            None => request,
        })
    }

    /// For a call that may run in a task of its own.
    fn on_behalf(&self) -> Self {
        Self { request_id: request_id::current(), ..self.clone() }
    }

    async fn stored(
        &self,
        to: &ServerAddress,
        copy_id: CopyId,
        response: Response,
        blamed: ServerId,
    ) -> Result<StoredCopy, BlobError> {
        if !matches!(response.status(), StatusCode::OK | StatusCode::CREATED) {
            return Err(failure(to.server_id, blamed, response).await);
        }
        let receipt: Receipt = read_json(to.server_id, response).await?;
        Receiver::new(self.cluster(to)?, to).verify_receipt(&receipt, copy_id)?;
        Ok(from_receipt(&receipt))
    }

    async fn do_put(&self, to: ServerAddress, copy: PutCopy, body: Body) -> Result<StoredCopy, BlobError> {
        let capability = self.mint(&to, Method::Put, Some(copy.blob_id), copy.max_bytes)?;
        let (body, sent) = streams::outgoing(body, copy.length);
        let mut request = self
            .request(&to, HttpMethod::PUT, &blob_url(&to, copy.blob_id), &capability)?
            .query(&[("copy_id", copy.copy_id.to_string())])
            .body(body);
        if let Some(length) = copy.length {
            request = request.header(header::CONTENT_LENGTH, length);
        }
        let answer = request.send().await;
        // What broke in the body is the cause; what the connection made of it only the consequence.
        if let Some(error) = sent.failure() {
            return Err(error);
        }
        let response = answer.map_err(|error| unreachable(to.server_id, &error))?;
        let stored = self.stored(&to, copy.copy_id, response, to.server_id).await?;
        if let Some(error) = sent.failure() {
            return Err(error);
        }
        if stored.size != sent.bytes() {
            let cause = format!("its receipt is for {} bytes, {} were sent", stored.size, sent.bytes());
            return Err(BlobError::Unreachable { server_id: to.server_id, cause });
        }
        Ok(stored)
    }

    async fn do_head(&self, at: ServerAddress, blob_id: BlobId) -> Result<StoredCopy, BlobError> {
        let capability = self.mint(&at, Method::Head, Some(blob_id), 0)?;
        let request = self.request(&at, HttpMethod::HEAD, &blob_url(&at, blob_id), &capability)?;
        let response = in_time(&at, request.send()).await?;
        if response.status() != StatusCode::OK {
            return Err(failure(at.server_id, at.server_id, response).await);
        }
        let receipt = Receiver::new(self.cluster(&at)?, &at).receipt(&response)?;
        Ok(from_receipt(&receipt))
    }

    async fn do_copy(&self, to: ServerAddress, order: CopyOrder) -> Result<StoredCopy, BlobError> {
        let capability = self.mint(&to, Method::Copy, Some(order.blob_id), order.size)?;
        let lifetime_ms = copy_lifetime_ms(order.size, order.bytes_per_second);
        let signer = self.signer.as_ref().ok_or_else(|| BlobError::Refused {
            server_id: to.server_id,
            cause: "only directory nodes order copies".to_owned(),
        })?;
        let source = self.mint_for(&order.source, Method::Get, Some(order.blob_id), order.size, lifetime_ms)?;
        let source_capability = source.sign(signer);
        let body = CopyRequest {
            source_server_id: order.source.server_id,
            source_capability,
            copy_id: order.copy_id,
            size: order.size,
            sha256: order.sha256,
            bytes_per_second: order.bytes_per_second,
            replaces: order.replaces,
        };
        let url = format!("{}/copy", blob_url(&to, order.blob_id));
        let request = self.request(&to, HttpMethod::POST, &url, &capability)?.json(&body);
        let response = request.send().await.map_err(|error| unreachable(to.server_id, &error))?;
        let stored = self.stored(&to, order.copy_id, response, order.source.server_id).await?;
        if stored.size != order.size || stored.sha256 != order.sha256 {
            let cause = "its receipt is for other bytes than were to be copied".to_owned();
            return Err(BlobError::Unreachable { server_id: to.server_id, cause });
        }
        Ok(stored)
    }

    async fn do_verify(
        &self,
        at: ServerAddress,
        blob_id: BlobId,
        copy_id: CopyId,
        size: u64,
    ) -> Result<StoredCopy, BlobError> {
        let capability = self.mint(&at, Method::Verify, Some(blob_id), 0)?;
        let request = self
            .request(&at, HttpMethod::POST, &format!("{}/verify", blob_url(&at, blob_id)), &capability)?
            .query(&[("copy_id", copy_id.to_string())]);
        let patience = ANSWER_TIMEOUT + Duration::from_secs(size / SLOWEST_VERIFY);
        let response = within(patience, &at, request.send()).await?;
        let stored = self.stored(&at, copy_id, response, at.server_id).await?;
        if stored.size == size { Ok(stored) } else { Err(BlobError::Corrupt { server_id: at.server_id }) }
    }

    async fn do_delete(&self, at: ServerAddress, blob_id: BlobId, copy_id: CopyId) -> Result<(), BlobError> {
        let capability = self.mint(&at, Method::Delete, Some(blob_id), 0)?;
        let request = self
            .request(&at, HttpMethod::DELETE, &blob_url(&at, blob_id), &capability)?
            .query(&[("copy_id", copy_id.to_string())]);
        let response = in_time(&at, request.send()).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(()),
            _ => Err(failure(at.server_id, at.server_id, response).await),
        }
    }
}

impl Blobs for HttpBlobs {
    fn put(&self, to: &ServerAddress, copy: PutCopy, body: Body) -> BoxFuture<'static, Result<StoredCopy, BlobError>> {
        let (this, to) = (self.on_behalf(), to.clone());
        async move { this.do_put(to, copy, body).await }.boxed()
    }

    fn get(
        &self,
        from: &ServerAddress,
        blob_id: BlobId,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'static, Result<Body, BlobError>> {
        match self.mint(from, Method::Get, Some(blob_id), 0) {
            Ok(capability) => self.get_with(from, blob_id, range, &capability),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn head(&self, at: &ServerAddress, blob_id: BlobId) -> BoxFuture<'static, Result<StoredCopy, BlobError>> {
        let (this, at) = (self.on_behalf(), at.clone());
        async move { this.do_head(at, blob_id).await }.boxed()
    }

    fn copy(&self, to: &ServerAddress, order: CopyOrder) -> BoxFuture<'static, Result<StoredCopy, BlobError>> {
        let (this, to) = (self.on_behalf(), to.clone());
        async move { this.do_copy(to, order).await }.boxed()
    }

    fn verify(
        &self,
        at: &ServerAddress,
        blob_id: BlobId,
        copy_id: CopyId,
        size: u64,
    ) -> BoxFuture<'static, Result<StoredCopy, BlobError>> {
        let (this, at) = (self.on_behalf(), at.clone());
        async move { this.do_verify(at, blob_id, copy_id, size).await }.boxed()
    }

    fn delete(
        &self,
        at: &ServerAddress,
        blob_id: BlobId,
        copy_id: CopyId,
    ) -> BoxFuture<'static, Result<(), BlobError>> {
        let (this, at) = (self.on_behalf(), at.clone());
        async move { this.do_delete(at, blob_id, copy_id).await }.boxed()
    }

    fn scrub(&self, at: &ServerAddress) -> BoxFuture<'static, Result<(), BlobError>> {
        let (this, at) = (self.on_behalf(), at.clone());
        async move { Self::scrub(&this, &at).await }.boxed()
    }
}

fn blob_url(at: &ServerAddress, blob_id: BlobId) -> String {
    format!("{}/blobs/{blob_id}", at.url.trim_end_matches('/'))
}

fn from_receipt(receipt: &Receipt) -> StoredCopy {
    let Receipt { cluster_id, server_id, epoch, copy_id, size, sha256 } = *receipt;
    StoredCopy { cluster_id, server_id, epoch, copy_id, size, sha256 }
}

/// How long a copy may go on asking its source for the rest, in milliseconds.
fn copy_lifetime_ms(size: u64, bytes_per_second: Option<u64>) -> u64 {
    let slowest = bytes_per_second.unwrap_or(SLOWEST_COPY).clamp(1, SLOWEST_COPY);
    CAPABILITY_LIFETIME_MS.saturating_add((size / slowest).saturating_mul(1000))
}

async fn in_time(
    at: &ServerAddress,
    answer: impl Future<Output = reqwest::Result<Response>>,
) -> Result<Response, BlobError> {
    within(ANSWER_TIMEOUT, at, answer).await
}

async fn within(
    patience: Duration,
    at: &ServerAddress,
    answer: impl Future<Output = reqwest::Result<Response>>,
) -> Result<Response, BlobError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer.map_err(|error| unreachable(at.server_id, &error)),
        Err(_) => Err(BlobError::Unreachable {
            server_id: at.server_id,
            cause: format!("no answer in {} s", patience.as_secs()),
        }),
    }
}

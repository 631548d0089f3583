//! The endpoints of a file server. Only `/healthz` and `/metrics` are open; every blob call needs a capability, and
//! `/challenge` a proof that the caller knows the cluster secret.

mod answer;
mod authorize;
mod blobs;
mod copy;
mod range;
pub(super) mod serve;
mod stall;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};

use self::answer::Failure;
use super::metrics::{Metrics, render};
use super::scrub::Demand;
use super::store::Store;
use super::transfer::blocking;
use super::view::View;
use crate::client::blobs::http::HttpBlobs;
use crate::clock::SharedClock;
use crate::domain::ServerUuid;
use crate::protocol::health::Health;
use crate::protocol::problem::Code;
use crate::protocol::registration::ChallengeRequest;
use crate::protocol::secret::ClusterSecret;

/// The longest that a client may leave a transfer without a byte.
pub(super) const STALL: Duration = Duration::from_secs(150);
/// The requests with a JSON body are small.
const MAX_JSON_BYTES: usize = 64 * 1024;

/// How many copies are verified at a time; more would only take the disk from those who read.
pub(super) const MAX_CHECKS: usize = 4;

/// What the endpoints work with.
pub(super) struct Context {
    pub(super) store: Arc<Store>,
    pub(super) view: watch::Receiver<View>,
    pub(super) secret: ClusterSecret,
    pub(super) clock: SharedClock,
    pub(super) uuid: ServerUuid,
    pub(super) advertise: String,
    /// For copies from other file servers.
    pub(super) peers: HttpBlobs,
    pub(super) scrub: Demand,
    /// See [`MAX_CHECKS`].
    pub(super) checks: Semaphore,
    pub(super) metrics: Arc<Metrics>,
    pub(super) registry: Registry,
}

pub(super) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/blobs", get(blobs::inventory))
        .route("/blobs/{blob_id}", get(blobs::read).head(blobs::head).put(blobs::put).delete(blobs::delete))
        .route("/blobs/{blob_id}/copy", post(copy::copy))
        .route("/blobs/{blob_id}/verify", post(verify::verify))
        .route("/scrub", post(verify::scrub))
        .route("/challenge", post(challenge))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&context), answer::finish))
        .with_state(context)
}

async fn unknown() -> Failure {
    Failure::new(Code::NotFound, "There is no such call here: file servers answer to directory nodes, send it to one.")
}

async fn healthz(State(context): State<Arc<Context>>) -> Response {
    let view = context.view.borrow().clone();
    let (cluster_id, server_id) = view.bound.unzip();
    Json(Health { status: "ok".to_owned(), cluster_id, server_id, epoch: view.epoch }).into_response()
}

async fn metrics(State(context): State<Arc<Context>>) -> Result<Response, Failure> {
    let store = Arc::clone(&context.store);
    let usage = blocking(move || store.usage()).await?.map_err(Failure::from)?;
    let epoch = context.view.borrow().epoch.map_or(0, |epoch| epoch.0);
    context.metrics.set(&usage, context.store.damaged(), context.store.refusal().is_none(), epoch);
    let text = render(&context.registry).map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}

async fn challenge(State(context): State<Arc<Context>>, headers: HeaderMap, body: Body) -> Result<Response, Failure> {
    let request: ChallengeRequest = read_json(body).await?;
    let bearer = authorize::bearer(&headers).unwrap_or_default();
    let answer = request.answer(&context.secret, bearer, context.uuid, &context.advertise).ok_or_else(|| {
        Failure::new(Code::Unauthenticated, "The caller does not know this cluster's secret: compare the secret files.")
    })?;
    Ok(Json(answer).into_response())
}

/// A small JSON body, whatever its content type says.
async fn read_json<T: DeserializeOwned>(body: Body) -> Result<T, Failure> {
    let invalid = |detail: String| Failure::new(Code::InvalidRequest, detail);
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let reading = async {
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| invalid(format!("The body broke off: {error}.")))?;
            if bytes.len() + piece.len() > MAX_JSON_BYTES {
                return Err(Failure::new(Code::TooLarge, format!("Send at most {MAX_JSON_BYTES} bytes.")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(())
    };
    tokio::time::timeout(STALL, reading)
        .await
        .map_err(|_| invalid(format!("Send the body within {} s.", STALL.as_secs())))??;
    serde_json::from_slice(&bytes).map_err(|error| invalid(format!("Send the JSON that the call asks for: {error}.")))
}

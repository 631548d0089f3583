//! The endpoints of a file server. Who calls has shown a certificate of this cluster, and every call of a blob needs a
//! capability.

mod answer;
mod authorize;
mod blobs;
mod copy;
mod range;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method as AskedMethod, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};

use self::answer::Failure;
use super::joining::Joining;
use super::metrics::{Metrics, render};
use super::scrub::Demand;
use super::store::Store;
use super::transfer::blocking;
use super::view::View;
use crate::client::blobs::http::HttpBlobs;
use crate::clock::SharedClock;
use crate::protocol::health::Health;
use crate::protocol::problem::Code;

/// The longest that another file server may leave a copying without a byte.
const STALL: Duration = Duration::from_secs(150);
/// The requests with a JSON body are small.
const MAX_JSON_BYTES: usize = 64 * 1024;
/// For such a body.
const JSON_DEADLINE: Duration = Duration::from_secs(10);

/// How many copies are verified at a time; more would only take the disk from those who read.
pub(super) const MAX_CHECKS: usize = 4;

/// What the endpoints work with.
pub(super) struct Context {
    pub(super) store: Arc<Store>,
    pub(super) view: watch::Receiver<View>,
    pub(super) joining: Arc<Joining>,
    pub(super) clock: SharedClock,
    pub(super) advertise: String,
    /// For copies from other file servers.
    pub(super) peers: HttpBlobs,
    pub(super) scrub: Demand,
    /// See [`MAX_CHECKS`].
    pub(super) checks: Semaphore,
    /// How long a member may pause in a transfer.
    pub(super) pause: Duration,
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
        .route("/healthz", get(healthz))
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&context), answer::finish))
        .with_state(context)
}

async fn unknown() -> Failure {
    Failure::new(Code::NotFound, "There is no such call here: file servers answer to directory nodes, send it to one.")
}

/// The framework adds the methods that the call does take, as `Allow`.
async fn other_method(method: AskedMethod) -> Response {
    if method == AskedMethod::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = "This call takes the methods in Allow: use one of them.";
    Failure::new(Code::MethodNotAllowed, detail).into_response()
}

async fn healthz(State(context): State<Arc<Context>>) -> Response {
    let view = context.view.borrow().clone();
    let (cluster_id, server_id) = view.bound.unzip();
    let url = context.advertise.clone();
    Json(Health { status: "ok".to_owned(), url, cluster_id, server_id, epoch: view.epoch }).into_response()
}

/// What is told to those who watch this server.
pub(super) async fn metrics_page(context: &Context) -> Result<Bytes, String> {
    let store = Arc::clone(&context.store);
    let usage = blocking(move || store.usage()).await.map_err(|error| error.to_string())?;
    let usage = usage.map_err(|error| error.to_string())?;
    let epoch = context.view.borrow().epoch.map_or(0, |epoch| epoch.0);
    context.metrics.set(&usage, context.store.damaged(), context.store.refusal().is_none(), epoch);
    let text = render(&context.registry).map_err(|error| error.to_string())?;
    Ok(text.into())
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
    tokio::time::timeout(JSON_DEADLINE, reading)
        .await
        .map_err(|_| invalid(format!("Send the body within {} s.", JSON_DEADLINE.as_secs())))??;
    serde_json::from_slice(&bytes).map_err(|error| invalid(format!("Send the JSON that the call asks for: {error}.")))
}

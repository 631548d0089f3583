//! Whether a copy, or everything, is still what was written.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Context;
use super::answer::Failure;
use super::authorize::{Caller, authorize};
use super::blobs::{invalid_query, parse_blob_id, receipt};
use crate::fileserver::check::check;
use crate::protocol::blob::CopyQuery;
use crate::protocol::capability::Method;
use crate::protocol::problem::Code;

pub(super) async fn verify(
    State(context): State<Arc<Context>>,
    Path(blob_id): Path<String>,
    query: Result<Query<CopyQuery>, QueryRejection>,
    caller: Caller,
) -> Result<Response, Failure> {
    let blob_id = parse_blob_id(&blob_id)?;
    let granted = authorize(&context, &caller, Method::Verify, Some(blob_id)).await?;
    // Without an epoch there is no receipt.
    granted.epoch()?;
    let Query(CopyQuery { copy_id }) = query.map_err(invalid_query)?;
    let _turn = context.checks.acquire().await.map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    let record = check(&context.store, blob_id, Some(copy_id), None).await?;
    Ok(Json(receipt(&granted, &record)?).into_response())
}

/// Everything is to be read and checked, as fast as is allowed.
pub(super) async fn scrub(State(context): State<Arc<Context>>, caller: Caller) -> Result<Response, Failure> {
    authorize(&context, &caller, Method::Scrub, None).await?;
    context.scrub.make();
    Ok(StatusCode::ACCEPTED.into_response())
}

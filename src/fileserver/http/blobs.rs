//! The calls that put, read and delete blobs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::response::Builder;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;

use super::Context;
use super::answer::Failure;
use super::authorize::{Caller, Granted, authorize};
use super::range::{Outside, Wanted};
use crate::domain::BlobId;
use crate::fileserver::inventory::item;
use crate::fileserver::store::{CopyRecord, NewCopy, Stored};
use crate::fileserver::transfer::{IntakeError, Opened, Terms, blocking, open, take_in};
use crate::protocol::blob::{CopyQuery, InventoryPage, InventoryQuery, MAX_INVENTORY_ITEMS, Receipt, headers};
use crate::protocol::capability::Method;
use crate::protocol::problem::Code;

/// For how long the rest of a refused body is read and thrown away, so that the sender gets to see the refusal: it is lost
/// when a connection is closed on unread bytes. The sender ends it as soon as it has the answer.
const DISCARD_TIME: Duration = Duration::from_secs(10);

type Ctx = State<Arc<Context>>;

pub(super) async fn put(
    State(context): Ctx,
    Path(blob_id): Path<String>,
    query: Result<Query<CopyQuery>, QueryRejection>,
    caller: Caller,
    body: Body,
) -> Result<Response, Failure> {
    let length = body.size_hint().exact();
    let mut body = body.into_data_stream();
    let stored = async {
        let blob_id = parse_blob_id(&blob_id)?;
        let granted = authorize(&context, &caller, Method::Put, Some(blob_id)).await?;
        let Query(CopyQuery { copy_id }) = query.map_err(invalid_query)?;
        let new = NewCopy { blob_id, copy_id, length, replaces: None };
        let terms = Terms { max_bytes: granted.max_bytes, sha256: None, stall: context.pause };
        let stored = take_in(Arc::clone(&context.store), new, terms, &mut body).await?;
        stored_answer(&context, &granted, &stored)
    };
    match stored.await {
        Ok(response) => Ok(response),
        Err(failure) => {
            // Beside the answer: a sender that first had to be rid of its bytes would learn too late that it is to send them
            // elsewhere, or never, where its connection breaks before that.
            tokio::spawn(discard(body));
            Err(failure.closing())
        }
    }
}

/// The receipt of a stored copy.
pub(super) fn stored_answer(context: &Context, granted: &Granted, stored: &Stored) -> Result<Response, Failure> {
    let receipt = receipt(granted, &stored.record)?;
    let status = if stored.existed { StatusCode::OK } else { StatusCode::CREATED };
    if !stored.existed {
        context.metrics.stored.inc();
        context.metrics.stored_bytes.inc_by(stored.record.size);
    }
    Ok((status, Json(receipt)).into_response())
}

pub(super) fn receipt(granted: &Granted, record: &CopyRecord) -> Result<Receipt, Failure> {
    Ok(Receipt {
        cluster_id: granted.cluster_id,
        server_id: granted.server_id,
        epoch: granted.epoch()?,
        copy_id: record.copy_id,
        size: record.size,
        sha256: record.sha256,
    })
}

async fn discard(mut body: BodyDataStream) {
    let reading = async { while let Some(Ok(_)) = body.next().await {} };
    // Where it takes longer the sender may miss the refusal, and sees a broken connection instead.
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

pub(super) async fn read(
    State(context): Ctx,
    Path(blob_id): Path<String>,
    caller: Caller,
) -> Result<Response, Failure> {
    let blob_id = parse_blob_id(&blob_id)?;
    let granted = authorize(&context, &caller, Method::Get, Some(blob_id)).await?;
    let wanted = Wanted::parse(&caller.headers);
    let whole = wanted == Wanted::Whole;
    let opened = open(Arc::clone(&context.store), blob_id, move |size| wanted.within(size)).await?;
    let opened = match opened {
        Ok(opened) => opened,
        Err(Outside { size }) => {
            let failure = Failure::new(Code::RangeNotSatisfiable, format!("The blob has {size} bytes."));
            return Ok(([(header::CONTENT_RANGE, format!("bytes */{size}"))], failure).into_response());
        }
    };
    let Opened { range, record, .. } = &opened;
    let mut answer = described(&granted, record).header(header::CONTENT_LENGTH, range.end - range.start);
    if whole {
        answer = answer.status(StatusCode::OK);
    } else {
        let part = format!("bytes {}-{}/{}", range.start, range.end - 1, record.size);
        answer = answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, part);
    }
    let served = context.metrics.served_bytes.clone();
    let bytes = opened.into_stream().inspect(move |piece| match piece {
        Ok(piece) => {
            served.inc_by(piece.len() as u64);
        }
        // The connection is aborted: the reader learns that it broke off, this log why.
        Err(error) => tracing::error!(%blob_id, %error, "a read was broken off"),
    });
    answer.body(Body::from_stream(bytes)).map_err(internal)
}

pub(super) async fn head(
    State(context): Ctx,
    Path(blob_id): Path<String>,
    caller: Caller,
) -> Result<Response, Failure> {
    let blob_id = parse_blob_id(&blob_id)?;
    let granted = authorize(&context, &caller, Method::Head, Some(blob_id)).await?;
    // Without an epoch there is no receipt.
    granted.epoch()?;
    let store = Arc::clone(&context.store);
    let record = blocking(move || store.head(blob_id)).await??;
    let answer = described(&granted, &record).header(header::CONTENT_LENGTH, record.size);
    answer.body(Body::empty()).map_err(internal)
}

/// The headers that say who answers, and with which copy.
fn described(granted: &Granted, record: &CopyRecord) -> Builder {
    let mut answer = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(headers::CLUSTER_ID, granted.cluster_id.to_string())
        .header(headers::SERVER_ID, granted.server_id.0)
        .header(headers::COPY_ID, record.copy_id.to_string())
        .header(headers::SHA256, record.sha256.to_string());
    if let Some(epoch) = granted.known_epoch() {
        answer = answer.header(headers::EPOCH, epoch.0);
    }
    answer
}

pub(super) async fn delete(
    State(context): Ctx,
    Path(blob_id): Path<String>,
    query: Result<Query<CopyQuery>, QueryRejection>,
    caller: Caller,
) -> Result<Response, Failure> {
    let blob_id = parse_blob_id(&blob_id)?;
    authorize(&context, &caller, Method::Delete, Some(blob_id)).await?;
    let Query(CopyQuery { copy_id }) = query.map_err(invalid_query)?;
    let store = Arc::clone(&context.store);
    if blocking(move || store.delete(blob_id, copy_id)).await?? {
        context.metrics.deleted.inc();
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn inventory(
    State(context): Ctx,
    query: Result<Query<InventoryQuery>, QueryRejection>,
    caller: Caller,
) -> Result<Response, Failure> {
    let granted = authorize(&context, &caller, Method::Inventory, None).await?;
    let Query(InventoryQuery { after, limit }) = query.map_err(invalid_query)?;
    let limit = limit.unwrap_or(MAX_INVENTORY_ITEMS).clamp(1, MAX_INVENTORY_ITEMS);
    let store = Arc::clone(&context.store);
    let (listed, more) = blocking(move || store.list(after, limit)).await??;
    let next = listed.last().map(|last| last.blob_id).filter(|_| more);
    let page = InventoryPage {
        cluster_id: granted.cluster_id,
        server_id: granted.server_id,
        epoch: granted.epoch()?,
        items: listed.into_iter().map(item).collect(),
        next,
    };
    Ok(Json(page).into_response())
}

pub(super) fn parse_blob_id(text: &str) -> Result<BlobId, Failure> {
    BlobId::parse(text).ok_or_else(|| {
        Failure::new(Code::InvalidRequest, "A blob id is 32 lower-case hexadecimal digits: copy it as it was given.")
    })
}

pub(super) fn invalid_query(rejection: QueryRejection) -> Failure {
    Failure::new(Code::InvalidRequest, format!("Mend the query: {}.", rejection.body_text()))
}

fn internal(error: axum::http::Error) -> Failure {
    IntakeError::Interrupted(error.to_string()).into()
}

//! The body of a `/write` or `/update`: raw, or one multipart field; and what becomes of the rest of one that is
//! refused.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::HeaderMap;
use axum::http::header;
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::linger::Lingering;
use crate::directory::error::{ApiError, ApiResult};
use crate::domain::Sha256;
use crate::protocol::problem::Code;

/// What a file is called where the client names no better type. Clients that send a file as if it were a form
/// (`curl --data-binary`, `wget --post-file`) did not mean it.
const OCTETS: &str = "application/octet-stream";
const FORM: &str = "application/x-www-form-urlencoded";
/// The most bytes of a form around its file, as far as the parser has been fed: what is read before the parser has
/// found the field counts.
const MOST_AROUND: usize = 4 << 20;
/// Fields before the one with the file: each costs as much as a small request.
const MOST_FIELDS: u32 = 100;

/// The content type under which a raw body is stored.
pub(crate) fn content_type(headers: &HeaderMap) -> ApiResult<String> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(OCTETS.to_owned()) };
    let text = value.to_str().map_err(|_| ApiError::invalid("the Content-Type must be plain ASCII"))?;
    checked_content_type(text)
}

pub(crate) fn checked_content_type(text: &str) -> ApiResult<String> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(ApiError::invalid("the Content-Type has a control character: send it without"));
    }
    if text.len() > 255 {
        return Err(ApiError::invalid("the Content-Type is longer than 255 bytes: send a shorter one"));
    }
    Ok(if text.is_empty() || text.starts_with(FORM) { OCTETS.to_owned() } else { text.to_owned() })
}

pub(crate) fn is_multipart(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    value.is_some_and(|value| value.starts_with(b"multipart/form-data"))
}

/// The file of a form, its bytes as they come.
pub(crate) struct MultipartFile {
    pub(crate) content_type: String,
    pub(crate) bytes: ReceiverStream,
}

/// A bounded queue as a stream.
pub(crate) type ReceiverStream = BoxStream<'static, Result<Bytes, String>>;

/// Opens a multipart body at its field named `file`. The stream ends only where the form does: a form that was cut off
/// after its file is no whole request. Its size is bounded where the bytes are counted, not here.
pub(crate) async fn multipart_file(parts: Parts, body: Body) -> ApiResult<MultipartFile> {
    let in_file = Arc::new(AtomicBool::new(false));
    let body = told(Lingering::new(body, &parts.headers));
    let mut request = Request::from_parts(parts, Body::from_stream(bounded_head(body, in_file.clone())));
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await.map_err(|error| form_error(error.body_text()))?;
    let (head, found) = tokio::sync::oneshot::channel();
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    // A field borrows its form, so a task owns both; it ends with the request, when nobody receives any more.
    tokio::spawn(feed(form, in_file, head, sender));
    let content_type = found.await.map_err(ApiError::internal)??;
    let bytes = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    })
    .fuse();
    Ok(MultipartFile { content_type, bytes: bytes.boxed() })
}

async fn feed(
    mut form: Multipart,
    in_file: Arc<AtomicBool>,
    head: oneshot::Sender<ApiResult<String>>,
    bytes: mpsc::Sender<Result<Bytes, String>>,
) {
    let mut others = 0;
    let mut file = loop {
        match form.next_field().await {
            Ok(Some(field)) if field.name() == Some("file") => break field,
            Ok(Some(_)) if others < MOST_FIELDS => others += 1,
            Ok(Some(_)) => {
                let detail = "the form has too many fields before its file: send one field named file, and no other";
                let _ = head.send(Err(ApiError::invalid(detail)));
                return;
            }
            Ok(None) => {
                let _ = head.send(Err(ApiError::invalid("the form has no field named file: send the bytes in it")));
                return;
            }
            Err(error) => {
                let _ = head.send(Err(form_error(error.body_text())));
                return;
            }
        }
    };
    in_file.store(true, Ordering::Relaxed);
    if head.send(checked_content_type(file.content_type().unwrap_or(""))).is_err() {
        return;
    }
    loop {
        let item = match file.chunk().await {
            Ok(Some(chunk)) => Ok(chunk),
            Ok(None) => break,
            Err(error) => Err(error.body_text()),
        };
        if bytes.send(item).await.is_err() {
            return;
        }
    }
    drop(file);
    in_file.store(false, Ordering::Relaxed);
    let rest = match form.next_field().await {
        Ok(None) => return,
        Ok(Some(_)) => "the form goes on after its file: send one field named file, as the last".to_owned(),
        Err(error) => error.body_text(),
    };
    let _ = bytes.send(Err(rest)).await;
}

/// The parser holds what is not a field's content in memory until it is whole. So what comes before the file, and after
/// it, is bounded.
fn bounded_head(
    body: BoxStream<'static, Result<Bytes, String>>,
    in_file: Arc<AtomicBool>,
) -> impl Stream<Item = Result<Bytes, String>> + Send + 'static {
    let mut around = 0;
    body.map(move |item| {
        let bytes = item?;
        if !in_file.load(Ordering::Relaxed) {
            around += bytes.len();
            if around > MOST_AROUND {
                return Err("too much comes before or after the file: send it as the only field".to_owned());
            }
        }
        Ok(bytes)
    })
}

fn form_error(cause: String) -> ApiError {
    ApiError::invalid("the multipart body is broken: send one field named file, and all of it").because(cause)
}

/// The digest that the client announces (RFC 9530, `Repr-Digest` or `Content-Digest`), for the whole to be checked
/// against.
pub(crate) fn announced_digest(headers: &HeaderMap) -> ApiResult<Option<Sha256>> {
    use base64::Engine as _;
    let Some(value) = headers.get("repr-digest").or_else(|| headers.get("content-digest")) else { return Ok(None) };
    let text = value.to_str().unwrap_or("");
    let Some(member) = text.split(',').map(str::trim).find_map(|member| member.strip_prefix("sha-256=:")) else {
        return Ok(None); // Another algorithm: RFC 9530 lets a server pass it by.
    };
    let digest = member.strip_suffix(':').and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    digest
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .map(|bytes| Some(Sha256(bytes)))
        .ok_or_else(|| ApiError::invalid("the digest is not valid: send `Repr-Digest: sha-256=:<base64 of 32 bytes>:`"))
}

/// Refuses bytes that are coded for the way: they would be stored as they come.
pub(crate) fn check_codings(headers: &HeaderMap) -> ApiResult<()> {
    let codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings = codings.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(ApiError::invalid(
            "the body is compressed for the way (Content-Encoding): send the file's own bytes",
        ));
    }
    // What is below this takes the chunks apart and nothing else: the bytes would be stored as they were coded.
    let codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut codings = codings.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(ApiError::new(
            Code::NotImplemented,
            "the body is coded for the way (Transfer-Encoding): send the file's own bytes, in chunks if need be",
        ));
    }
    Ok(())
}

/// The same body, with its errors as text. It was broken off by the listener where nothing came for long.
pub(crate) fn told<E: Display + Send + 'static>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, String>> {
    body.map(|item| item.map_err(|error| error.to_string())).fuse().boxed()
}

//! An upload that its client sends in as many requests as it likes. What came before one broke off is kept, and the next one
//! goes on behind it, at whichever node.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::blob::{BlobWriter, Order};
use super::extents::Sending;
use crate::directory::error::{ApiError, ApiResult};
use crate::directory::node::App;
use crate::directory::transfer::digest::HashState;
use crate::directory::transfer::even::Even;
use crate::directory::transfer::stretch::Stretches;
use crate::domain::query::{self, UploadStat};
use crate::domain::{Outcome, UserId};

/// What a request has brought an upload to.
pub(crate) struct Received {
    /// The next byte to be sent.
    pub(crate) offset: u64,
    /// What the upload has become, where it was whole.
    pub(crate) finished: Option<Outcome>,
}

/// Takes the next bytes of an upload, and finishes it with the last one. `length` is the size of the whole, where it is
/// known; the client may have told it just now.
///
/// # Errors
/// Where the body broke off, what came of it is kept first. A whole upload that is refused stays: it can be finished as
/// something else.
pub(crate) async fn receive<S, E>(
    node: &App,
    user: UserId,
    found: &UploadStat,
    length: Option<u64>,
    body: &mut S,
) -> ApiResult<Received>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::fmt::Display + Send,
{
    let policy = node.handle().read_local(|store| query::policy(store)).await?;
    let max_bytes = length.unwrap_or(node.settings.max_file_bytes).min(node.settings.max_file_bytes);
    let mut sending = Sending::of(node, user, found);
    if let Some(length) = length {
        sending.tell_length(length);
    }
    let mut broke = None;
    let mut body = until_it_breaks(body, &mut broke);
    let mut stretches = Stretches::new(Bytes::from(found.upload.tail.clone()), &mut body);
    let mut said = found.upload.length.is_some() || length.is_none();
    loop {
        let done = sending.size();
        let left = length.map(|length| length.saturating_sub(done));
        stretches.begin(policy.extent_bytes);
        let mut even = Even::new(&mut stretches, left);
        let some = match even.has_some().await {
            Ok(some) => some,
            Err(never) => match never {},
        };
        if !some {
            let tail = even.left();
            if tail != found.upload.tail || done != found.size || !said {
                sending.keep_tail(tail).await?;
            }
            break;
        }
        let order = Order {
            length: None,
            at_most: left.map(|left| left.min(policy.extent_bytes)),
            max_bytes: max_bytes.saturating_sub(done),
            limit: max_bytes,
            digest: None,
            whole: Some(sending.hash().clone()),
        };
        let brought = BlobWriter { node }.bring(order, &mut even).await?;
        let tail = even.left();
        sending.add(brought, tail.clone()).await?;
        said = true;
        if !tail.is_empty() || length == Some(sending.size()) {
            break;
        }
    }
    let offset = sending.offset();
    if length == Some(sending.size()) && matches!(stretches.has_more().await, Ok(true)) {
        return Err(ApiError::invalid(
            "more bytes came than were announced, and nothing is named: give the upload up, or finish it as it is",
        ));
    }
    drop(stretches);
    drop(body);
    if length == Some(sending.size()) {
        return Ok(Received { offset, finished: Some(sending.finish(None, None).await?) });
    }
    match broke {
        Some(cause) => Err(ApiError::invalid(format!(
            "the body broke off, and what came of it is kept: ask how far the upload has come (it is at byte {offset}), and go \
             on from there"
        ))
        .because(cause)),
        None => Ok(Received { offset, finished: None }),
    }
}

/// Finishes a whole upload of no bytes, or of any that has all its bytes.
pub(crate) async fn finish_empty(node: &App, user: UserId, found: &UploadStat) -> ApiResult<Outcome> {
    let mut sending = Sending::of(node, user, found);
    if found.extents == 0 {
        let order = Order {
            length: Some(0),
            at_most: Some(0),
            max_bytes: 0,
            limit: 0,
            digest: None,
            whole: Some(HashState::start()),
        };
        let mut nothing = futures_util::stream::empty::<Result<Bytes, std::convert::Infallible>>();
        let brought = BlobWriter { node }.bring(order, &mut nothing).await?;
        sending.add(brought, Vec::new()).await?;
    }
    sending.finish(None, None).await
}

/// The body until its end, or until it broke off: then `broke` says why.
fn until_it_breaks<'a, S, E>(
    body: &'a mut S,
    broke: &'a mut Option<String>,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Unpin + Send + 'a
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::fmt::Display + Send,
{
    Box::pin(body.scan(broke, |broke, frame| {
        std::future::ready(match frame {
            Ok(bytes) => Some(Ok(bytes)),
            Err(error) => {
                **broke = Some(error.to_string());
                None
            }
        })
    }))
}

//! The id of the request that is being answered, so that the calls which it leads to carry it on and one id runs through
//! the logs of all machines.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// Answers a request under its id. Tasks of their own that it spawns know of it only what they were given.
pub async fn in_request<F: Future>(id: &str, answer: F) -> F::Output {
    CURRENT.scope(Arc::from(id), answer).await
}

/// The id of the request that the present task answers.
pub fn current() -> Option<Arc<str>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// A stream that goes on making calls under the present id when the answer's head is out.
pub fn carried<S: Stream + Unpin>(stream: S) -> Carried<S> {
    Carried { id: current(), stream }
}

/// See [`carried`].
#[derive(Debug)]
pub struct Carried<S> {
    id: Option<Arc<str>>,
    stream: S,
}

impl<S: Stream + Unpin> Stream for Carried<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        match self.id.clone() {
            Some(id) => CURRENT.sync_scope(id, || Pin::new(&mut self.stream).poll_next(cx)),
            None => Pin::new(&mut self.stream).poll_next(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn the_id_is_known_inside_and_by_streams_that_outlive_the_answer() {
        assert_eq!(current(), None);
        let seen = |()| current().map(|id| id.to_string());
        let stream = in_request("a-1", async {
            assert_eq!(current().as_deref(), Some("a-1"));
            carried(futures_util::stream::iter([()]).map(seen))
        });
        let mut stream = stream.await;
        assert_eq!(current(), None);
        assert_eq!(stream.next().await, Some(Some("a-1".to_owned())));
    }
}

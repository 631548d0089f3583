//! One target of an upload: a small buffer, and a task that streams it to a file server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::blobs::{BlobError, Blobs, Body, PutCopy, ServerAddress, StoredCopy};
use crate::domain::{BlobId, CopyId, ServerId};

/// How many pieces a lane holds: with [`PIECE`](crate::directory::transfer::digest::PIECE) 1 MiB. Enough to ride out a
/// hiccup of a disk at full speed, little enough for hundreds of uploads at a time.
const BUFFER: usize = 8;
/// A lane that has the whole body but was given up has so long to come to an end by itself, so that a copy which its
/// server finishes in the meantime can be deleted. After that, the server's inventory finds it.
const WIND_UP: Duration = Duration::from_secs(30);
/// A call that cannot succeed any more has so long to end by itself: the server reads why, and may say why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// For how long the deletion of an abandoned copy is tried.
const DELETE: Duration = Duration::from_secs(10);

enum Piece {
    Data(Bytes),
    /// The last one. Without it the stream ends with an error, whatever became of the sender.
    Last(Bytes),
}

/// Why a lane did not take a piece.
#[derive(Debug)]
pub(super) enum SendError {
    /// Its buffer was full all the time.
    Stalled,
    /// Its call has ended.
    Failed(BlobError),
}

type Answer = Result<StoredCopy, BlobError>;

enum Call {
    Running(JoinHandle<Answer>),
    /// There is a copy that nobody has taken over yet.
    Stored,
    /// Nothing is left to do for it.
    Over,
}

pub(super) struct Lane {
    pub(super) to: ServerAddress,
    pub(super) copy_id: CopyId,
    blobs: Arc<dyn Blobs>,
    blob_id: BlobId,
    /// Nothing once the last piece is in the buffer.
    pieces: Option<Sender<Piece>>,
    call: Call,
}

impl Lane {
    pub(super) fn open(blobs: &Arc<dyn Blobs>, to: ServerAddress, copy: PutCopy) -> Self {
        let (pieces, receiver) = mpsc::channel(BUFFER);
        let (blob_id, copy_id) = (copy.blob_id, copy.copy_id);
        let call = Call::Running(tokio::spawn(blobs.put(&to, copy, body(receiver))));
        Self { to, copy_id, blobs: Arc::clone(blobs), blob_id, pieces: Some(pieces), call }
    }

    /// Whether the piece could be taken at once.
    pub(super) fn try_send(&self, piece: &Bytes) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| pieces.try_send(Piece::Data(piece.clone())).is_ok())
    }

    /// Waits for room for the piece until `patience` is over. The last piece of the body may be empty.
    pub(super) async fn send(&mut self, piece: Bytes, last: bool, patience: Duration) -> Result<(), SendError> {
        if let Some(pieces) = &self.pieces {
            // A server that was told a length of 0 has answered already.
            let nothing_left = last && piece.is_empty();
            let piece = if last { Piece::Last(piece) } else { Piece::Data(piece) };
            match timeout(patience, pieces.send(piece)).await {
                Ok(Err(_)) if !nothing_left => {}
                Ok(_) => {
                    if last {
                        self.pieces = None;
                    }
                    return Ok(());
                }
                Err(_) => return Err(SendError::Stalled),
            }
        }
        // The buffer's other end is gone, so the call has its answer, or is about to.
        let error = match self.receipt(LAST_WORDS).await {
            Err(error) => error,
            Ok(_) => self.unreachable("it sent a receipt before the end of the body"),
        };
        Err(SendError::Failed(error))
    }

    /// The file server's answer, for which it has `patience` from now.
    pub(super) async fn receipt(&mut self, patience: Duration) -> Answer {
        let Call::Running(call) = &mut self.call else { return Err(self.unreachable("it has answered already")) };
        match timeout(patience, call).await {
            Ok(Ok(answer)) => {
                self.call = match &answer {
                    Err(error) if !self.may_be_stored(error) => Call::Over,
                    _ => Call::Stored,
                };
                answer
            }
            Ok(Err(_)) => {
                self.call = Call::Over;
                Err(self.unreachable("the call was cut short"))
            }
            Err(_) => Err(self.unreachable(&format!("it owes its receipt for {} s", patience.as_secs()))),
        }
    }

    /// A connection that breaks behind the last piece leaves open whether the copy is there.
    fn may_be_stored(&self, error: &BlobError) -> bool {
        self.pieces.is_none() && matches!(error, BlobError::Unreachable { .. })
    }

    fn unreachable(&self, cause: &str) -> BlobError {
        unreachable_server(self.to.server_id, cause)
    }

    /// Takes the copy over from the lane, which would delete it otherwise.
    pub(super) fn keep(mut self) -> ServerAddress {
        self.call = Call::Over;
        self.to.clone()
    }
}

impl Drop for Lane {
    /// Ends the stream with an error, and sees to it in the background that no copy stays behind.
    fn drop(&mut self) {
        let whole = self.pieces.take().is_none();
        let call = std::mem::replace(&mut self.call, Call::Over);
        if matches!(call, Call::Over) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (blobs, to, blob_id, copy_id) = (Arc::clone(&self.blobs), self.to.clone(), self.blob_id, self.copy_id);
        runtime.spawn(async move {
            if let Call::Running(call) = call
                && !wind_up(call, whole).await
            {
                return;
            }
            // The lane's failure was logged where the upload dropped it; an upload that ended is its caller's to log.
            let _ = timeout(DELETE, blobs.delete(&to, blob_id, copy_id)).await;
        });
    }
}

pub(super) fn unreachable_server(server_id: ServerId, cause: &str) -> BlobError {
    BlobError::Unreachable { server_id, cause: cause.to_owned() }
}

/// Waits for the end of a call that nobody wants any more. Says whether there may be a copy.
async fn wind_up(mut call: JoinHandle<Answer>, whole: bool) -> bool {
    match timeout(if whole { WIND_UP } else { LAST_WORDS }, &mut call).await {
        Ok(Ok(Ok(_))) => true,
        Ok(Ok(Err(BlobError::Unreachable { .. })) | Err(_)) => whole,
        Ok(Ok(Err(_))) => false,
        Err(_) => {
            call.abort();
            whole
        }
    }
}

/// The pieces as a body. It ends well only behind the last piece.
fn body(receiver: Receiver<Piece>) -> Body {
    stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Piece::Data(bytes)) => Some((Ok(bytes), Some(receiver))),
            Some(Piece::Last(bytes)) if bytes.is_empty() => None,
            Some(Piece::Last(bytes)) => Some((Ok(bytes), None)),
            None => Some((Err(BlobError::BodyBroken("the upload was given up".to_owned())), None)),
        }
    })
    .boxed()
}

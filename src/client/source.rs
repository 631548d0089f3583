//! What is uploaded: bytes of a known length that can be read again from their start, so that an attempt that broke
//! off can be repeated.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::error::ClientError;

/// One reading of a source.
pub type SourceReader = Box<dyn AsyncRead + Send + Unpin>;
/// Told how many bytes of the running attempt were handed to the network; starts again at 0 with each attempt.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

type Open = dyn Fn() -> BoxFuture<'static, io::Result<SourceReader>> + Send + Sync;

/// The content of an upload.
#[derive(Clone)]
pub struct Source {
    name: String,
    length: u64,
    open: Arc<Open>,
}

impl Source {
    /// A regular file. Each attempt opens it anew; one that has been changed meanwhile is refused rather than sent
    /// in two halves.
    ///
    /// # Errors
    /// When it cannot be read, or is no regular file.
    pub async fn file(path: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let path = path.into();
        let name = path.display().to_string();
        let metadata = tokio::fs::metadata(&path)
            .await
            .map_err(|error| ClientError::local(format_args!("cannot read {name}"), &error))?;
        if !metadata.is_file() {
            return Err(ClientError::usage(format!("{name} is no regular file")));
        }
        let seen = Seen::of(&metadata);
        let length = metadata.len();
        let open = move || open_file(path.clone(), seen).boxed();
        Ok(Self { name, length, open: Arc::new(open) })
    }

    /// Several files, one behind the other, of `length` bytes together.
    pub fn files(name: impl Into<String>, length: u64, paths: Vec<PathBuf>) -> Self {
        let paths = Arc::new(paths);
        Self::reader(name, length, move || {
            let paths = paths.clone();
            let chain = futures_util::stream::iter((0..paths.len()).map(move |at| Ok(paths[at].clone())));
            let opened = chain.and_then(|path| async move { tokio::fs::File::open(path).await.map(ReaderStream::new) });
            let reader: SourceReader = Box::new(StreamReader::new(Box::pin(opened.try_flatten())));
            std::future::ready(Ok(reader)).boxed()
        })
    }

    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes: Bytes = bytes.into();
        Self::reader("bytes in memory", bytes.len() as u64, move || {
            let reader: SourceReader = Box::new(io::Cursor::new(bytes.clone()));
            std::future::ready(Ok(reader)).boxed()
        })
    }

    /// Anything that can be read again from its start: `open` is called for each attempt and gives at least `length`
    /// bytes, of which `length` are sent. `name` is for error messages.
    pub fn reader(
        name: impl Into<String>,
        length: u64,
        open: impl Fn() -> BoxFuture<'static, io::Result<SourceReader>> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), length, open: Arc::new(open) }
    }

    /// In bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn open(&self) -> io::Result<SourceReader> {
        (self.open)().await
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("length", &self.length).finish_non_exhaustive()
    }
}

/// What a file looked like at first.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds; only compared.
    modified: (i64, i64),
}

impl Seen {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

async fn open_file(path: PathBuf, seen: Seen) -> io::Result<SourceReader> {
    let file = tokio::fs::File::open(&path).await?;
    if Seen::of(&file.metadata().await?) != seen {
        return Err(changed(&path));
    }
    let reader: SourceReader = Box::new(file);
    Ok(reader)
}

fn changed(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} was changed while it was sent", path.display()))
}

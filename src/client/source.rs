//! What is uploaded: bytes of a known length that can be read again from their start, so that an attempt that broke
//! off can be repeated.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt, stream};
use rustix::fs::OFlags;
use sha2::Digest;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::{ReaderStream, StreamReader};

use super::error::ClientError;
use super::spool::{Kept, Spool};
use crate::domain::Sha256;
use crate::local::{self, Kind};

/// A file of no more than this is read before it is sent, so that the node can compare what comes with its digest and refuse
/// what differs. It is in the page cache then, and read again in no time. A larger one would be read from the disk twice:
/// it is compared when it is there.
const HASHED_BEFORE: u64 = 64 << 20;
/// The part of a file that is read at once.
const CHUNK: usize = 256 * 1024;

/// One reading of a source.
pub type SourceReader = Box<dyn AsyncRead + Send + Unpin>;
/// Told how many bytes of the running attempt were handed to the network; starts again at 0 with each attempt.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

type Open = dyn Fn() -> BoxFuture<'static, io::Result<SourceReader>> + Send + Sync;
type OpenAt = dyn Fn(u64) -> io::Result<SourceReader> + Send + Sync;

/// The content of an upload.
#[derive(Clone)]
pub struct Source {
    name: String,
    length: u64,
    /// Known before it is sent.
    digest: Option<Sha256>,
    /// Of what was sent, where it was not known before; of the last attempt that handed over all of it.
    sent: Arc<Mutex<Option<Sha256>>>,
    open: Arc<Open>,
    /// Where it can be read from any byte on.
    open_at: Option<Arc<OpenAt>>,
    /// Somebody else takes the digest of what is read.
    hashed: bool,
}

impl Source {
    /// What a name of this machine leads to.
    ///
    /// A file is sent as it is: it is opened once, and one that is changed while it is sent is refused rather than sent in
    /// two halves. So is a block device, as long as it is. What can be read but once, or tells no true size (a pipe, a
    /// device, files of `/proc`), is read to its end first and kept, as [`Self::stream`] does.
    ///
    /// # Errors
    /// When it cannot be read, is changed meanwhile, or is a directory or a socket.
    pub async fn file(path: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let path = path.into();
        let name = path.display().to_string();
        // A pipe is waited for until somebody writes into it.
        blocking(move || {
            let cannot = |error: &io::Error| ClientError::local(format_args!("cannot read {name}"), error);
            let (file, kind) = open_any(&path).map_err(|error| cannot(&error))?;
            match kind {
                Kind::File => {}
                Kind::Block => {
                    let length = (&file).seek(SeekFrom::End(0)).map_err(|error| cannot(&error))?;
                    return Ok(Self::opened(name, length, None, file, None));
                }
                _ => return Self::kept(name, file),
            }
            let seen = Seen::of(&file).map_err(|error| cannot(&error))?;
            if seen.length > HASHED_BEFORE {
                return Ok(Self::opened(name, seen.length, None, file, Some(seen)));
            }
            let (length, digest) = sum(&file).map_err(|error| cannot(&error))?;
            seen.must_hold(&file).map_err(|error| cannot(&error))?;
            if length == seen.length {
                return Ok(Self::opened(name, length, Some(digest), file, Some(seen)));
            }
            // Nobody has changed it, and it is longer or shorter than it says.
            (&file).rewind().map_err(|error| cannot(&error))?;
            Self::kept(name, file)
        })
        .await
    }

    /// A regular file of which the digest is known, and which is compared by whoever gets it.
    ///
    /// # Errors
    /// When it cannot be read, or is no regular file.
    pub async fn known(path: impl Into<PathBuf>, digest: Sha256) -> Result<Self, ClientError> {
        let path = path.into();
        let name = path.display().to_string();
        blocking(move || {
            let opened = local::open_file(&path).and_then(|file| Ok((Seen::of(&file)?, file)));
            let opened = opened.map_err(|error| ClientError::local(format_args!("cannot read {name}"), &error));
            opened.map(|(seen, file)| Self::opened(name, seen.length, Some(digest), file, Some(seen)))
        })
        .await
    }

    /// What can be read but once: it is read to its end and kept, in memory or in a temporary file. `name` is for error
    /// messages.
    ///
    /// # Errors
    /// When it cannot be read, or there is no room to keep it.
    pub async fn stream(name: impl Into<String>, from: impl Read + Send + 'static) -> Result<Self, ClientError> {
        let name = name.into();
        blocking(move || Self::kept(name, from)).await
    }

    fn kept(name: String, from: impl Read) -> Result<Self, ClientError> {
        let Spool { kept, length, digest } = Spool::fill(&name, from)?;
        Ok(match kept {
            Kept::InMemory(bytes) => Self { digest: Some(digest), ..Self::in_memory(name, bytes) },
            Kept::OnDisk(file) => Self::opened(name, length, Some(digest), file, None),
        })
    }

    fn opened(name: String, length: u64, digest: Option<Sha256>, file: File, seen: Option<Seen>) -> Self {
        let file = Arc::new(file);
        let again = file.clone();
        let open = move || std::future::ready(part_of(file.clone(), 0, length, seen)).boxed();
        let open_at: Arc<OpenAt> = Arc::new(move |from| part_of(again.clone(), from, length, seen));
        Self { digest, open_at: Some(open_at), ..Self::reader(name, length, open) }
    }

    fn in_memory(name: String, bytes: Bytes) -> Self {
        Self::reader(name, bytes.len() as u64, move || {
            let reader: SourceReader = Box::new(io::Cursor::new(bytes.clone()));
            std::future::ready(Ok(reader)).boxed()
        })
    }

    /// Several files, one behind the other, of `length` bytes together.
    pub fn files(name: impl Into<String>, length: u64, digest: Option<Sha256>, paths: Vec<PathBuf>) -> Self {
        let paths = Arc::new(paths);
        let open = move || {
            let paths = paths.clone();
            let chain = stream::iter((0..paths.len()).map(move |at| Ok::<_, io::Error>(paths[at].clone())));
            let opened = chain.and_then(async |path| {
                let file =
                    tokio::task::spawn_blocking(move || local::open_file(&path)).await.map_err(io::Error::other)?;
                Ok(ReaderStream::with_capacity(tokio::fs::File::from_std(file?), CHUNK))
            });
            let reader: SourceReader = Box::new(StreamReader::new(Box::pin(opened.try_flatten())));
            std::future::ready(Ok(reader)).boxed()
        };
        Self { digest, ..Self::reader(name, length, open) }
    }

    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes: Bytes = bytes.into();
        let digest = Some(Sha256(sha2::Sha256::digest(&bytes).into()));
        Self { digest, ..Self::in_memory("bytes in memory".to_owned(), bytes) }
    }

    /// Anything that can be read again from its start: `open` is called for each attempt and gives at least `length`
    /// bytes, of which `length` are sent. `name` is for error messages.
    pub fn reader(
        name: impl Into<String>,
        length: u64,
        open: impl Fn() -> BoxFuture<'static, io::Result<SourceReader>> + Send + Sync + 'static,
    ) -> Self {
        let (name, open) = (name.into(), Arc::new(open));
        Self { name, length, digest: None, sent: Arc::default(), open, open_at: None, hashed: false }
    }

    /// In bytes.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// What is announced with it.
    pub(super) const fn digest(&self) -> Option<Sha256> {
        self.digest
    }

    /// Of what was sent, for the answer to be compared with; nothing where no attempt handed over all of it.
    pub(super) fn sent(&self) -> Option<Sha256> {
        self.digest.or_else(|| *self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it can be read from any byte on.
    pub(super) const fn begins_anywhere(&self) -> bool {
        self.open_at.is_some()
    }

    /// What is behind its first `from` bytes, with what is read of it going into `digest`.
    pub(super) fn rest(&self, from: u64, digest: &Arc<Mutex<RunningDigest>>) -> Self {
        let (source, digest) = (self.clone(), digest.clone());
        let open = move || {
            let opened = source.read_from(from).map(|reader| {
                let reader: SourceReader = Box::new(Digesting { reader, at: from, digest: digest.clone() });
                reader
            });
            std::future::ready(opened).boxed()
        };
        let length = self.length.saturating_sub(from);
        Self { hashed: true, ..Self::reader(self.name.clone(), length, open) }
    }

    /// # Errors
    /// When it cannot be read, or was changed.
    pub(super) fn read_from(&self, from: u64) -> io::Result<SourceReader> {
        let open_at = self.open_at.as_ref().ok_or_else(|| io::Error::other("it cannot be read from a byte on"))?;
        open_at(from)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn open(&self) -> io::Result<SourceReader> {
        let reader = (self.open)().await?;
        if self.digest.is_some() || self.hashed {
            return Ok(reader);
        }
        let hash = Some(sha2::Sha256::new());
        Ok(Box::new(Hashing { reader, hash, left: self.length, sent: self.sent.clone() }))
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
    length: u64,
    /// Seconds and nanoseconds; only compared.
    modified: (i64, i64),
}

impl Seen {
    fn of(file: &File) -> io::Result<Self> {
        let metadata: Metadata = file.metadata()?;
        Ok(Self { length: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) })
    }

    fn must_hold(self, file: &File) -> io::Result<()> {
        if Self::of(file)? == self {
            return Ok(());
        }
        let told = "it was changed while it was sent: send it when nobody writes to it, or as it is at one moment, through \
                    standard input";
        Err(io::Error::new(io::ErrorKind::InvalidData, told))
    }
}

/// A reading of the bytes from `from` to `length` of an open file. Where `seen` is given the last of them are not given away before it
/// is certain that the file still looks so: no node ever has the whole of one that was changed.
fn part_of(file: Arc<File>, from: u64, length: u64, seen: Option<Seen>) -> io::Result<SourceReader> {
    seen.map_or(Ok(()), |seen| seen.must_hold(&file))?;
    let chunks = stream::try_unfold(from, move |at| {
        let file = file.clone();
        async move {
            let most = usize::try_from(length.saturating_sub(at)).unwrap_or(CHUNK).min(CHUNK);
            if most == 0 {
                return Ok(None);
            }
            let reading = tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; most];
                let read = file.read_at(&mut chunk, at)?;
                chunk.truncate(read);
                match seen {
                    Some(seen) if read == 0 || at + read as u64 == length => seen.must_hold(&file)?,
                    _ => {}
                }
                Ok::<_, io::Error>(Bytes::from(chunk))
            });
            let chunk = reading.await.map_err(io::Error::other)??;
            let next = at + chunk.len() as u64;
            Ok::<_, io::Error>((!chunk.is_empty()).then_some((chunk, next)))
        }
    });
    Ok(Box::new(StreamReader::new(Box::pin(chunks))))
}

/// The number of bytes until the end, and their digest. More than what is hashed at once is not looked at.
fn sum(mut file: &File) -> io::Result<(u64, Sha256)> {
    let (mut hash, mut length) = (sha2::Sha256::new(), 0);
    let mut chunk = vec![0; CHUNK];
    while length <= HASHED_BEFORE {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        hash.update(&chunk[..read]);
        length += read as u64;
    }
    Ok((length, Sha256(hash.finalize().into())))
}

/// Opens whatever has bytes. For the other end of a pipe it waits.
fn open_any(path: &Path) -> io::Result<(File, Kind)> {
    let kind = Kind::of(fs::metadata(path)?.file_type());
    if matches!(kind, Kind::Directory | Kind::Socket) {
        let told = format!("it is {kind}: name a file, a device or a pipe");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    let wait = matches!(kind, Kind::Pipe | Kind::Character);
    let flags = OFlags::NOCTTY | if wait { OFlags::empty() } else { OFlags::NONBLOCK };
    let file = File::options().read(true).custom_flags(local::flags(flags)).open(path)?;
    if Kind::of(file.metadata()?.file_type()) != kind {
        return Err(io::Error::other("it was replaced while it was opened: try again"));
    }
    Ok((file, kind))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ClientError::local("cannot read", &io::Error::other(error))))
}

/// Takes the digest of what is read through it, and tells it when all of it was read.
struct Hashing {
    reader: SourceReader,
    hash: Option<sha2::Sha256>,
    left: u64,
    sent: Arc<Mutex<Option<Sha256>>>,
}

impl AsyncRead for Hashing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.reader).poll_read(context, buffer))?;
        let came = &buffer.filled()[before..];
        let came = &came[..usize::try_from(this.left).map_or(came.len(), |left| left.min(came.len()))];
        this.left -= came.len() as u64;
        if let Some(hash) = &mut this.hash {
            hash.update(came);
        }
        if this.left == 0
            && let Some(hash) = this.hash.take()
        {
            *this.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Sha256(hash.finalize().into()));
        }
        Poll::Ready(Ok(()))
    }
}

/// The digest of the first bytes of a source, as far as they were read by whoever sends them, in whatever pieces.
#[derive(Clone, Default)]
pub(super) struct RunningDigest {
    hash: sha2::Sha256,
    /// How many bytes that is.
    at: u64,
}

impl RunningDigest {
    /// Takes what was read from `from` on, and passes by what it has already.
    pub(super) fn take(&mut self, from: u64, bytes: &[u8]) {
        let known = usize::try_from(self.at.saturating_sub(from)).unwrap_or(usize::MAX);
        if from <= self.at && known < bytes.len() {
            self.hash.update(&bytes[known..]);
            self.at += (bytes.len() - known) as u64;
        }
    }

    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn digest(&self) -> Sha256 {
        Sha256(self.hash.clone().finalize().into())
    }
}

/// Gives what is read through it to a running digest.
struct Digesting {
    reader: SourceReader,
    at: u64,
    digest: Arc<Mutex<RunningDigest>>,
}

impl AsyncRead for Digesting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.reader).poll_read(context, buffer))?;
        let came = &buffer.filled()[before..];
        this.digest.lock().unwrap_or_else(PoisonError::into_inner).take(this.at, came);
        this.at += came.len() as u64;
        Poll::Ready(Ok(()))
    }
}

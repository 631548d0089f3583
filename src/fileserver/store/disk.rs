//! The few calls to the operating system whose failures need care.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::num::NonZeroU64;
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, StatVfsMountFlags, fadvise, fallocate, statvfs};
use rustix::io::Errno;

use super::StoreError;

/// Bytes of a file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) total: u64,
    pub(super) free: u64,
    /// It is mounted so that nothing can be written.
    pub(super) read_only: bool,
}

/// A copy takes two inodes. Where fewer than this are free, the file system is as good as full: so many writers may be
/// at work.
const LEAST_INODES: u64 = 256;

pub(super) fn space(dir: &Path) -> Result<Space, StoreError> {
    let stat = statvfs(dir).map_err(|errno| failed("cannot measure the free space of", dir)(errno.into()))?;
    // File systems that make inodes as they need them count none.
    let out_of_inodes = stat.f_files > 0 && stat.f_favail < LEAST_INODES.min(stat.f_files / 100);
    Ok(Space {
        total: stat.f_blocks.saturating_mul(stat.f_frsize),
        free: if out_of_inodes { 0 } else { stat.f_bavail.saturating_mul(stat.f_frsize) },
        read_only: stat.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

/// Reserves the bytes of a file that is about to be written, so that a full disk shows before the body has come.
/// A file system that cannot do that is written to all the same.
pub(super) fn preallocate(file: &File, path: &Path, bytes: u64) -> Result<(), StoreError> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(errno) => Err(failed("cannot reserve space for", path)(errno.into())),
    }
}

/// Makes what was written durable.
///
/// A failed sync leaves it unknown which pages reached the disk, and the kernel forgets the failure: a second try would
/// report success for lost data. So the process ends. A disk that is full, or was made read-only, is another matter: the
/// file is thrown away, and nobody was told of it.
pub(super) fn sync_file(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.sync_all() {
        Ok(()) => Ok(()),
        Err(error) if is_full(&error) => Err(StoreError::Full),
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Err(failed("cannot sync", path)(error)),
        Err(error) => die(path, &error),
    }
}

/// As [`sync_file`], without the metadata that reading does not need: for a file that is still growing.
pub(super) fn sync_data(file: &File, path: &Path) -> Result<(), StoreError> {
    match file.sync_data() {
        Ok(()) => Ok(()),
        Err(error) if is_full(&error) => Err(StoreError::Full),
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => Err(failed("cannot sync", path)(error)),
        Err(error) => die(path, &error),
    }
}

/// A directory whose names are about to change. It is opened before: with the change made and no descriptor left to sync it
/// with, whoever asks again would find the change and take it for durable.
pub(super) struct Names<'a> {
    dir: File,
    path: &'a Path,
}

impl<'a> Names<'a> {
    pub(super) fn of(path: &'a Path) -> Result<Self, StoreError> {
        Ok(Self { dir: File::open(path).map_err(failed("cannot open", path))?, path })
    }

    /// Makes the names durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.dir.sync_all().map_err(|error| die(self.path, &error))
    }
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove(path: &Path) -> Result<bool, StoreError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("cannot remove", path)(error)),
    }
}

pub(super) fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(failed("cannot look for", path))
}

/// An I/O error with what was being done. A full disk becomes its own kind.
pub(super) fn failed<'a>(doing: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |error| {
        if is_full(&error) {
            return StoreError::Full;
        }
        StoreError::Io { doing: format!("{doing} {}", path.display()), error }
    }
}

/// Whether the disk itself cannot give back what was written.
pub(super) fn is_bad_sector(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
}

/// Has the kernel forget what it keeps in memory of a part of a file, as far as it is on the disk: the next read shows
/// what the disk holds, and bytes that were only looked at do not take the memory of those that are read again.
pub(super) fn forget_cached(file: &File, start: u64, bytes: u64) {
    // Advice only: where it is not taken, the bytes are read as they are known.
    let _ = fadvise(file, start, NonZeroU64::new(bytes), Advice::DontNeed);
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn die(path: &Path, error: &io::Error) -> ! {
    tracing::error!(
        path = %path.display(),
        %error,
        "the disk did not take what was written: stopping, because nothing can be promised any more; check the disk"
    );
    std::process::exit(1)
}

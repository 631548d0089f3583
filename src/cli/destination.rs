//! Where a download goes, which is decided by what the name leads to before a byte is asked for.
//!
//! A file is replaced as a whole (`replacement`), also through a link, which stays. A device or a pipe is written into: a file
//! in its place would be the end of it. A socket, a directory and a link to nothing are refused.

use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tokio::io::AsyncWriteExt;

use super::error::CliError;
use super::output::Output;
use super::replacement::{Access, Replacement, exists, sync_folder};
use crate::local::{self, Kind};

/// Who chose the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    ByUser,
    /// It comes from the cluster, as in a tree that is fetched: it may not lead out of it, and not into a device.
    ByCluster,
}

/// What a name leads to, of what can be written.
#[derive(Debug)]
pub(super) enum Standing {
    Nothing,
    /// The name without links.
    File(PathBuf, Metadata),
    /// A device or a pipe.
    Stream(Kind),
}

/// An opened place for one download.
#[derive(Debug)]
pub(super) struct Destination {
    target: PathBuf,
    /// Nothing where the bytes go straight to where they belong.
    replacement: Option<Replacement>,
    kind: Kind,
}

impl Destination {
    /// `replace` says whether the target may exist. For the reader of a pipe it waits.
    pub(super) async fn open(target: &Path, replace: bool, named: Named) -> Result<(Self, tokio::fs::File), CliError> {
        let target = target.to_owned();
        let opening = tokio::task::spawn_blocking(move || Self::open_now(target, replace, named));
        let opened = opening.await.map_err(|error| CliError::refused(error.to_string()))??;
        Ok((opened.0, tokio::fs::File::from_std(opened.1)))
    }

    fn open_now(target: PathBuf, replace: bool, named: Named) -> Result<(Self, File), CliError> {
        let standing = look(&target, named)?;
        if !replace && !matches!(standing, Standing::Nothing) {
            return Err(exists(&target));
        }
        let (replacement, file, kind) = match standing {
            Standing::Stream(kind) => (None, open_stream(&target, kind)?, kind),
            Standing::Nothing => {
                let (replacement, file) = Replacement::new(target.clone(), None, Access::AsBefore)?;
                (Some(replacement), file, Kind::File)
            }
            Standing::File(real, old) => {
                let (replacement, file) = Replacement::new(real, Some(&old), Access::AsBefore)?;
                (Some(replacement), file, Kind::File)
            }
        };
        Ok((Self { target, replacement, kind }, file))
    }

    /// All bytes were written to `file` and are right: gives it its name. It is on the disk when this returns.
    pub(super) async fn finish(self, mut file: tokio::fs::File) -> Result<(), CliError> {
        let cannot = |error| CliError::local(format_args!("cannot write {}", self.target.display()), &error);
        file.flush().await.map_err(cannot)?;
        let Some(replacement) = self.replacement else {
            return if self.kind == Kind::Block { file.sync_all().await.map_err(cannot) } else { Ok(()) };
        };
        let file = file.into_std().await;
        replacement.dress(&file)?;
        // Not in one step with what follows: an interrupt here still removes the temporary file.
        let file = tokio::fs::File::from_std(file);
        file.sync_all().await.map_err(cannot)?;
        let folder = replacement.folder();
        let others = replacement.land()?;
        if others > 0 {
            let target = self.target.display();
            Output::note(format_args!("note: {target} had {others} other names (hard links): they keep the old bytes"));
        }
        let syncing = tokio::task::spawn_blocking(move || sync_folder(&folder));
        syncing.await.map_err(|error| CliError::refused(error.to_string()))?
    }
}

/// What a name leads to.
///
/// # Errors
/// When nothing can be written there.
pub(super) fn look(target: &Path, named: Named) -> Result<Standing, CliError> {
    let shown = target.display();
    let cannot = |error| CliError::local(format_args!("cannot write {shown}"), &error);
    let own = match target.symlink_metadata() {
        Ok(own) => own,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let slash = target.as_os_str().as_encoded_bytes().ends_with(b"/");
            return if slash {
                Err(CliError::refused(format!("there is no directory {shown}")).hint("make it first"))
            } else {
                Ok(Standing::Nothing)
            };
        }
        Err(error) => return Err(cannot(error)),
    };
    let kind = Kind::of(own.file_type());
    if named == Named::ByCluster && !matches!(kind, Kind::File | Kind::Directory) {
        return Err(in_the_way(target, kind));
    }
    let found = target.metadata().map_err(|error| match kind {
        Kind::Link => CliError::refused(format!("{shown} is a link that leads nowhere ({error})"))
            .hint("remove the link, or make the file that it leads to"),
        _ => cannot(error),
    })?;
    match Kind::of(found.file_type()) {
        Kind::Directory => Err(CliError::refused(format!("{shown} is a directory"))),
        kind @ (Kind::Socket | Kind::Link) => {
            Err(CliError::refused(format!("{shown} is {kind}: nothing can be stored in it")).hint("name a file"))
        }
        kind @ (Kind::Block | Kind::Character | Kind::Pipe) => Ok(Standing::Stream(kind)),
        Kind::File => {
            let real = target.canonicalize().map_err(cannot)?;
            let same = |there: Metadata| (there.dev(), there.ino()) == (found.dev(), found.ino());
            // What `/proc/self/fd/1` leads to can be a file that nobody can name any more.
            if real.symlink_metadata().is_ok_and(same) {
                Ok(Standing::File(real, found))
            } else {
                Err(CliError::refused(format!("{shown} leads to a file that has no name any more"))
                    .hint("write into it as it is: ringmaster cat REMOTE > LOCAL"))
            }
        }
    }
}

/// What a tree that is fetched meets where it wants to put a file or a directory of its own.
pub(super) fn in_the_way(target: &Path, kind: Kind) -> CliError {
    CliError::refused(format!("{} is {kind}, and a tree is not fetched through it", target.display()))
        .hint("move it away, or fetch what belongs there by its own name")
}

/// Opens a device or a pipe as it is: nothing is made, and nothing cut.
fn open_stream(target: &Path, kind: Kind) -> Result<File, CliError> {
    let cannot = |error| CliError::local(format_args!("cannot write into {}", target.display()), &error);
    // The kernel refuses a disk that is in use.
    let in_use = if kind == Kind::Block { OFlags::EXCL } else { OFlags::empty() };
    let file = File::options().write(true).custom_flags(local::flags(OFlags::NOCTTY | in_use)).open(target);
    let file = file.map_err(cannot)?;
    let now = Kind::of(file.metadata().map_err(cannot)?.file_type());
    if now == kind {
        return Ok(file);
    }
    // Nothing was written to it yet.
    Err(CliError::refused(format!("{} has become {now}", target.display())).hint("try again"))
}

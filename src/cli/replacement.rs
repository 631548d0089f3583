//! A file that gets its name when it is whole: until then it lies beside it under a temporary one.
//!
//! What takes the place of a file keeps who may do what with it: its owner first, since a change of the owner takes rights
//! away, then its access list, then its mode. The bits that have a program run as its owner are not kept: the new bytes were
//! never given that right. Where the owner cannot be kept nothing is replaced. Its other attributes described the old bytes.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, getxattr};
use rustix::io::Errno;
use tempfile::TempPath;

use super::error::CliError;
use crate::local::{self, Kind, folder_of};

/// Where Linux keeps a file's access list.
const ACCESS_LIST: &str = "system.posix_acl_access";
/// The largest attribute that Linux knows.
const MAX_ATTRIBUTE: usize = 64 * 1024;
/// What may be done with a file by its owner, its group and others.
const RIGHTS: u32 = 0o777;

/// Who may do what with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// As with the file that it replaces; a new one is as the umask has it.
    AsBefore,
    /// Its owner alone, whatever there was.
    Private,
}

/// A file on its way; removed when it is dropped before it is there.
#[derive(Debug)]
pub(super) struct Replacement {
    temporary: TempPath,
    target: PathBuf,
    replace: bool,
    access: Access,
}

impl Replacement {
    /// Makes the temporary file. `old` is the file that has the name now, where it may be replaced; the name leads to it
    /// through no link.
    pub(super) fn new(target: PathBuf, old: Option<&Metadata>, access: Access) -> Result<(Self, File), CliError> {
        let alone = old.is_some() || access == Access::Private;
        let mode = Permissions::from_mode(if alone { 0o600 } else { 0o666 });
        let made = tempfile::Builder::new()
            .prefix(".ringmaster-")
            .suffix(".part")
            .permissions(mode)
            .tempfile_in(folder_of(&target))
            .map_err(|error| {
                let what = format_args!("cannot write beside {}", target.display()).to_string();
                in_place(CliError::local(what, &error), old.is_some())
            })?;
        let (file, temporary) = made.into_parts();
        if let Some(old) = old {
            // Before it is fetched for an hour.
            keep_owner(&file, old, &target)?;
        }
        Ok((Self { temporary, target, replace: old.is_some(), access }, file))
    }

    /// Gives the file the owner and the rights that it is to have. What has the name now counts: it may have been changed
    /// meanwhile.
    pub(super) fn dress(&self, file: &File) -> Result<(), CliError> {
        let cannot = |error: io::Error| {
            CliError::local(format_args!("cannot keep the rights of {}", self.target.display()), &error)
        };
        let old = match self.target.symlink_metadata() {
            Ok(old) if self.replace => old,
            _ => return Ok(()),
        };
        let kind = Kind::of(old.file_type());
        if kind != Kind::File {
            return Err(CliError::refused(format!("{} has become {kind}", self.target.display())).hint("try again"));
        }
        keep_owner(file, &old, &self.target)?;
        let mode = match self.access {
            Access::Private => 0o600,
            Access::AsBefore => old.mode() & RIGHTS,
        };
        keep_access_list(file, &self.target, self.access).map_err(cannot)?;
        if file.metadata().map_err(cannot)?.mode() & RIGHTS != mode {
            file.set_permissions(Permissions::from_mode(mode)).map_err(cannot)?;
        }
        Ok(())
    }

    /// Gives the finished file its name; how many other names what it replaced has.
    pub(super) fn land(self) -> Result<u64, CliError> {
        let Self { temporary, target, replace, .. } = self;
        let others = target.symlink_metadata().map_or(0, |old| old.nlink().saturating_sub(1));
        let landed = if replace {
            temporary.persist(&target)
        } else {
            match temporary.persist_noclobber(&target) {
                // Some file systems can do it neither in one step nor with a second name.
                Err(failed) if is_unable(&failed.error) && target.symlink_metadata().is_err() => {
                    failed.path.persist(&target)
                }
                landed => landed,
            }
        };
        match landed {
            Ok(()) => Ok(if replace { others } else { 0 }),
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&target)),
            Err(failed) => Err(in_place(
                CliError::local(format_args!("cannot write {}", target.display()), &failed.error),
                failed.error.kind() == io::ErrorKind::ResourceBusy,
            )),
        }
    }

    /// Where its name is, for the name to be made durable.
    pub(super) fn folder(&self) -> PathBuf {
        folder_of(&self.target).to_owned()
    }
}

pub(super) fn exists(target: &Path) -> CliError {
    CliError::refused(format!("{} exists", target.display())).hint("use -f to overwrite it")
}

/// The way out where a file can be written, and not replaced.
fn in_place(error: CliError, helps: bool) -> CliError {
    if helps { error.hint("write into it as it is: ringmaster cat REMOTE > LOCAL") } else { error }
}

fn is_unable(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported)
}

fn keep_owner(file: &File, old: &Metadata, target: &Path) -> Result<(), CliError> {
    let local = |error: io::Error| CliError::local(format_args!("cannot write beside {}", target.display()), &error);
    let new = file.metadata().map_err(local)?;
    let (uid, gid) = ((old.uid() != new.uid()).then(|| old.uid()), (old.gid() != new.gid()).then(|| old.gid()));
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchown(file, uid, gid).map_err(|error| {
        let (target, uid, gid) = (target.display(), old.uid(), old.gid());
        let refused = format!("{target} belongs to user {uid} and group {gid}, and would not any more ({error})");
        in_place(CliError::refused(refused), true).hint("or remove it first")
    })
}

/// A folder's own list for new files is taken off where the old file had none: its mode would mean something else.
fn keep_access_list(file: &File, old: &Path, access: Access) -> io::Result<()> {
    let mut list = vec![0; MAX_ATTRIBUTE];
    let length = match access {
        Access::Private => None,
        Access::AsBefore => match getxattr(old, ACCESS_LIST, &mut list[..]) {
            Ok(length) => Some(length),
            Err(Errno::NODATA | Errno::NOTSUP) => None,
            Err(error) => return Err(error.into()),
        },
    };
    match length {
        Some(length) => Ok(fsetxattr(file, ACCESS_LIST, &list[..length], XattrFlags::empty())?),
        None => match fremovexattr(file, ACCESS_LIST) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => Ok(()),
            Err(error) => Err(error.into()),
        },
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), CliError> {
    local::sync_folder(folder)
        .map_err(|error| CliError::local(format_args!("cannot sync {}", folder.display()), &error))
}

//! Where a download lands: beside its target under a temporary name, renamed once all of it is there and right.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::CliError;
use crate::clock::SharedClock;

/// A file on its way; removed when it is dropped before it is there.
#[derive(Debug)]
pub(super) struct Landing {
    temporary: PathBuf,
    target: PathBuf,
    replace: bool,
    landed: bool,
}

impl Landing {
    /// Makes the temporary file. `replace` says whether the target may exist.
    pub(super) fn new(target: &Path, replace: bool) -> Result<(Self, tokio::fs::File), CliError> {
        if !replace && target.symlink_metadata().is_ok() {
            return Err(exists(target));
        }
        if target.is_dir() {
            return Err(CliError::refused(format!("{} is a directory", target.display())));
        }
        let name = format!(".ringmaster-{:032x}.part", SharedClock::system().random_u128());
        let temporary = target.with_file_name(name);
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|error| CliError::local(format_args!("cannot write beside {}", target.display()), &error))?;
        let landing = Self { temporary, target: target.to_owned(), replace, landed: false };
        Ok((landing, tokio::fs::File::from_std(file)))
    }

    /// Gives the finished file its name.
    pub(super) fn land(mut self) -> Result<(), CliError> {
        match self.rename() {
            Ok(()) => {
                self.landed = true;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&self.target)),
            Err(error) => Err(CliError::local(format_args!("cannot write {}", self.target.display()), &error)),
        }
    }

    fn rename(&self) -> io::Result<()> {
        if self.replace {
            return fs::rename(&self.temporary, &self.target);
        }
        match renameat_with(CWD, &self.temporary, CWD, &self.target, RenameFlags::NOREPLACE) {
            // Some file systems cannot do it in one step.
            Err(Errno::INVAL | Errno::NOSYS) if self.target.symlink_metadata().is_err() => {
                fs::rename(&self.temporary, &self.target)
            }
            Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
            result => Ok(result?),
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.landed {
            // What is left over is named so that anyone can tell what it was.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

fn exists(target: &Path) -> CliError {
    CliError::refused(format!("{} exists", target.display())).hint("use -f to overwrite it")
}

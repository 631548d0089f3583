//! Files and directories that survive a power failure as they were left.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

use crate::local;

/// Makes a directory and its parents, durably.
pub(crate) fn make_dir(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
    sync_dir(dir)?;
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> anyhow::Result<()> {
    File::open(dir)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot sync the directory {}", dir.display()))
}

/// Writes a file so that after a crash it is there as a whole or as it was before.
pub(crate) fn write_atomically(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> anyhow::Result<()> {
    let temporary = path.with_extension("new");
    let written = (|| {
        let mut file = local::private().create(true).truncate(true).open(&temporary)?;
        write(&mut file)?;
        file.flush()?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.with_context(|| format!("cannot write {}", path.display()))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a directory with all that is in it; one that is not there is no error.
pub(crate) fn remove_dir(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// The names in a directory, in order. Those that are not UTF-8 are none of ours and are left out.
pub(crate) fn list_names(dir: &Path) -> anyhow::Result<Vec<String>> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    };
    list().with_context(|| format!("cannot list {}", dir.display()))
}

/// Makes `target` a database of its own with the content of the closed database `source`. Table files never change, so
/// they are linked; all others are copied.
pub(crate) fn clone_database(source: &Path, target: &Path) -> anyhow::Result<()> {
    make_dir(target)?;
    for name in list_names(source)? {
        let (from, to) = (source.join(&name), target.join(&name));
        // Links need one file system, which tests and odd mounts may not give.
        let linked = name.ends_with(".sst") && fs::hard_link(&from, &to).is_ok();
        if !linked {
            fs::copy(&from, &to)
                .and_then(|_| File::open(&to)?.sync_all())
                .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        }
    }
    sync_dir(target)
}
